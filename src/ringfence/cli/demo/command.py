"""`ringfence demo`: see it work on this machine, without network and without any account."""

import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from ringfence.cli.demo.stage import NotRun, Ports, Run, Stage, choose_ports
from ringfence.cli.terminal.printing import say
from ringfence.cli.terminal.style import Paint, Style, terminal_width
from ringfence.cli.terminal.text import harmless, wrap
from ringfence.config.settings import CONTROL_PORT, DATA_PORT
from ringfence.domain.money import Money, format_usd

_FOLDER = ".ringfence-demo"
_WATCH_S = 0.5
_MOST_CELLS = 100
_SAID_INDENT = 18


@click.command("demo")
@click.option("--data", metavar="DIR", default=_FOLDER, show_default=True, help="Where it works.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the data plane [8484].")
@click.option("--console-port", type=click.IntRange(0, 65535), help="Of the control plane [8485].")
@click.option("--exit", "is_brief", is_flag=True, help="End when the sample agents have ended.")
def demo(*, data: str, port: int | None, console_port: int | None, is_brief: bool) -> None:
    """See it work: a plane, a scripted model and three agents, one of them in a sandbox.

    Nothing leaves this machine. It serves until Ctrl-C, so that you can try your own agent.
    """
    style = Style.of(sys.stdout)
    ports, taken = choose_ports(port, console_port, Ports(data=DATA_PORT, control=CONTROL_PORT))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    say(
        [f"{style.bold('Ringfence demo')}: a plane, a scripted model, three agents; no network", ""]
    )
    sys.stdout.flush()
    with Stage(Path(data), ports) as stage:
        for each in taken:
            _tell(style.warning, "note", f"port {each} is taken; another one is used")
        stage.start()
        _tell(style.good, "ok", f"model     {stage.model_url}")
        _tell(style.good, "ok", f"plane     http://127.0.0.1:{stage.ports.data} for agents")
        _tell(style.good, "", f"          http://127.0.0.1:{stage.ports.control} for people")
        token, runs = stage.play()
        for run in runs:
            if isinstance(run, Run):
                _tell(style.good, "ok", *_played(run))
            else:
                _tell(style.warning, "note", *_not_played(run))
        say(_next(stage, token, style))
        if not is_brief:
            _serve(stage)


def _serve(stage: Stage) -> None:
    """Return at Ctrl-C. Raises UnavailableError if something ends by itself."""
    try:
        say(["Serving until Ctrl-C."])
        sys.stdout.flush()
        while True:
            stage.check()
            time.sleep(_WATCH_S)
    except KeyboardInterrupt:
        # The rest is tidying up, which another Ctrl-C must not cut short.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        say(["", "stopped"])


def _tell(paint: Paint, mark: str, *lines: str) -> None:
    first, *rest = lines
    say([f"  {paint(mark)}{' ' * (4 - len(mark))}  {first}", *(f"        {line}" for line in rest)])
    sys.stdout.flush()


def _played(run: Run) -> Iterator[str]:
    refusals = f", {run.refusals} refused" if run.refusals else ""
    cost = format_usd(Money(int(run.cost_nano)))
    yield f"{run.agent:<9} {run.steps} steps{refusals}, {cost}"
    yield from _indented(run.said)


def _not_played(run: NotRun) -> Iterator[str]:
    yield f"{run.agent:<9} not run: this machine has no sandbox for it yet"
    yield from _indented(run.why)
    yield from _indented("`ringfence doctor` says what is missing")


def _indented(text: str) -> Iterator[str]:
    cells = min(terminal_width(), _MOST_CELLS) - _SAID_INDENT
    yield from (f"          {line}" for line in wrap(harmless(text), cells))


def _next(stage: Stage, token: str, style: Style) -> Iterator[str]:
    root = f"http://127.0.0.1:{stage.ports.data}"
    where = f"--data {stage.folder}"
    program = _program()
    yield ""
    yield style.bold("Connect an agent of yours") + " to any of the models `demo-…`"
    yield f"  OpenAI     {root}/v1          model demo-chat"
    yield f"  Anthropic  {root}             model demo-claude"
    yield f"  Gemini     {root}             model demo-gemini"
    yield f"  token      {token}"
    yield ""
    yield style.bold("Look around") + " from another terminal"
    yield f"  {program} trace list {where}"
    yield f"  {program} trace show --last --agent coder {where}"
    yield f"  {program} budget show {where}"
    yield f"  {program} audit verify {where}"
    yield ""
    yield style.bold("Be an agent yourself") + ", in a sandbox; and stop it from a third terminal"
    yield f"  {program} run --agent coder {where} --workspace {stage.workspace} -- bash"
    yield f"  {program} sandbox stop --agent coder {where}"
    yield ""


def _program() -> str:
    """How this program is called from here."""
    if shutil.which("ringfence"):
        return "ringfence"
    beside = Path(sys.executable).with_name("ringfence")
    if not beside.exists():
        return f"{sys.executable} -m ringfence"
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)
