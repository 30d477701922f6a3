"""Agents at a terminal: `python -m tests.journeys.interactive [--tier reduced] [--only bash]`.

Claude Code, Codex, Copilot CLI, opencode and Bash are started with `ringfence run` as a person
does, and typed at: a prompt and its answer, another window size, Ctrl-Z, Ctrl-C, the end. Claimed:
each does what it does without a sandbox, the terminal is left as it was found, and the record has
the transcript. Runs as an ordinary user.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.journeys import sandboxed
from tests.journeys.environment import Environment, InstallError, prepare
from tests.journeys.sandboxed import Report
from tests.journeys.sandboxed_agent import AGENTS, PROMPT, SAID, RealAgent
from tests.journeys.terminal import Terminal, TimedOutError
from tests.sandbox.whole import WholePlane

_BEARER: Final = "claude"
"""As whom a shell runs."""
_FOLLOWS_S: Final = 15.0
"""How long the record may take to hear of a closed terminal, on a busy machine."""

_PROMPT: Final = "PS1='re''ady> '\r"
"""Not what is waited for, as long as it is only what was typed."""

Story = Callable[[Report, Terminal], None]


def prompts(greeting: str, leave: Sequence[str]) -> Story:
    """A prompt with its answer, and what is typed around it; `leave` is how a person leaves."""

    def story(report: Report, terminal: Terminal) -> None:
        terminal.expect(greeting)
        terminal.read(3)  # programs draw once more, and drop what is typed before
        terminal.type(PROMPT)
        terminal.read(1)
        terminal.type("\r")
        # It reads every file that it finds.
        terminal.expect(SAID, within_s=300, is_drawn=True)
        terminal.read(1)
        terminal.forget()
        terminal.resize(30, 90)
        terminal.read(2)
        report.claim("it draws for the new size", holds=bool(terminal.text))
        terminal.type("\x1a")
        terminal.read(2)
        terminal.type("still here")
        terminal.expect("still here", is_drawn=True)
        terminal.type("\x03")  # takes back what is typed
        terminal.read(2)
        report.claim("one Ctrl-C does not end it", holds=terminal.process.poll() is None)
        for keys in leave:
            if terminal.process.poll() is None:
                terminal.type(keys)
                terminal.read(2)
        report.claim(f"it ends well: {terminal.text[-300:]}", holds=terminal.wait() == 0)

    return story


def shell(report: Report, terminal: Terminal) -> None:
    """Job control, signals, sizes and the exit code of a shell."""
    for keys, wanted in (
        (_PROMPT, "ready>"),
        ("echo $((6 * 7))\r", "42 ready>"),
        ("sleep 100; echo after=$?\r", "after"),
        ("\x03", "ready>"),
        ("echo then=$?\r", "then=130"),
        ("sleep 101\r", "sleep 101"),
        ("\x1a", "Stopped"),
        ("jobs\r", "Stopped sleep 101"),
        ("bg; jobs\r", "Running"),
        ("fg\r", "sleep 101"),
        ("\x03", "ready>"),
        ("cat\r", "cat"),
        ("typed\r", "typed typed"),
        ("\x04", "ready>"),
    ):
        terminal.type(keys)
        terminal.expect(wanted)
        terminal.read(0.3)
    terminal.resize(33, 77)
    terminal.type("stty size\r")
    terminal.expect("33 77")
    terminal.type("exit 7\r")
    code = terminal.wait()
    report.claim(f"the exit code is the shell's: {code}", holds=code == 7)


def end_of_input(report: Report, terminal: Terminal) -> None:
    terminal.type(_PROMPT)
    terminal.expect("ready>")
    terminal.read(0.5)
    terminal.type("\x04")
    report.claim("Ctrl-D ends it well", holds=terminal.wait() == 0)


_EXIT: Final = ("/exit", "\r")
STORIES: Final[Mapping[str, tuple[str, Sequence[str], Story]]] = {
    "claude": ("claude", ("claude",), prompts("? for shortcuts", _EXIT)),
    "codex": ("codex", ("codex",), prompts("Ask Codex", ("\x03", "\x03", "/quit", "\r"))),
    "copilot": ("copilot-openai", ("copilot", "--allow-all-tools"), prompts("/ commands", _EXIT)),
    "opencode": ("opencode-openai", ("opencode",), prompts("Ask anything", _EXIT)),
    "bash": (_BEARER, ("bash", "--norc"), shell),
    "bash, Ctrl-D": (_BEARER, ("bash", "--norc"), end_of_input),
}
"""By name: as which agent, what is started, and what is typed at it."""


def played(plane: WholePlane, name: str) -> Report:
    """One story at a terminal, and what is left of it."""
    agent, command, story = STORIES[name]
    report = Report(agent=name)
    began = time.monotonic()
    with at_terminal(plane, agent, command) as terminal:
        try:
            story(report, terminal)
        except TimedOutError as error:
            report.claim(f"it was printed in time: {error}", holds=False)
        report.claim("the terminal is as before", holds=terminal.modes() == terminal.before)
    report.seconds = time.monotonic() - began
    recorded(report, plane, ended="exited")
    return report


def hung_up(plane: WholePlane, agent: str) -> Report:
    """A window that is closed ends everything in it."""
    report = Report(agent="bash, closed terminal")
    with at_terminal(plane, agent, ("bash", "--norc")) as terminal:
        terminal.type(_PROMPT)
        terminal.expect("ready>")
        terminal.hang_up()
        try:
            terminal.process.wait(_FOLLOWS_S)
        except TimeoutError:
            report.claim("it ends with its terminal", holds=False)
    recorded(report, plane, ended="")
    return report


def recorded(report: Report, plane: WholePlane, *, ended: str) -> None:
    """The newest run has its transcript and its end."""
    ends = time.monotonic() + _FOLLOWS_S
    while len(plane.sights("sandbox.ended")) < len(started := plane.sights("sandbox.started")):
        if time.monotonic() > ends:
            break
        time.sleep(0.2)
    mine = [each for each in plane.events() if each.get("invocation") == started[-1]["invocation"]]
    seen = [each.get("what") for each in mine]
    report.claim(f"the transcript is kept: {seen}", holds="evidence.transcript" in seen)
    last = [each for each in mine if each.get("what") == "sandbox.ended"]
    report.claim(f"its end is recorded: {last}", holds=len(last) == 1)
    if ended:
        report.claim("it ended by itself", holds=[each["subject"] for each in last] == [ended])


def at_terminal(plane: WholePlane, agent: str, command: Sequence[str]) -> Terminal:
    return Terminal(
        plane.command("run", "--agent", agent, "--", *command),
        environment={**plane.environment, "TERM": "xterm-256color"},
        folder=plane.work,
        user=plane.user.uid,
    )


def play(
    folder: Path, tier: str, names: Sequence[str], installed: Mapping[str, Environment]
) -> int:
    """All of it in one tier; gives how many claims did not hold."""
    broken = 0
    with sandboxed.staged(folder, tier, needed(names), installed) as plane:
        for name in names:
            report = played(plane, name)
            sandboxed.show(report)
            broken += len(report.broken)
        report = hung_up(plane, _BEARER)
        sandboxed.show(report)
        broken += len(report.broken)
    return broken


def needed(names: Sequence[str]) -> Sequence[RealAgent]:
    """The agents that these stories are about, and whose name a shell bears."""
    wanted = {_BEARER, *(STORIES[name][0] for name in names)}
    return tuple(each for each in AGENTS if each.name in wanted)


def main() -> int:
    """Gives 0 if every claim held."""
    parser = argparse.ArgumentParser(prog="python -m tests.journeys.interactive")
    parser.add_argument("--tier", choices=("strict", "reduced", "both"), default="both")
    parser.add_argument("--only", choices=tuple(STORIES))
    options = parser.parse_args()
    names = [options.only] if options.only else list(STORIES)
    try:
        installed = {each.folder: asyncio.run(prepare(each.folder)) for each in needed(names)}
    except InstallError as error:
        print(f"a client could not be installed; the first run needs a network:\n{error}")
        return 2
    broken = 0
    for tier in ("strict", "reduced") if options.tier == "both" else (options.tier,):
        print(f"{tier}:", flush=True)
        with tempfile.TemporaryDirectory(prefix="journey-") as place:
            folder = Path(place).resolve()
            folder.chmod(0o755)
            broken += play(folder, tier, names, installed)
    return int(broken > 0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
