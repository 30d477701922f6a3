"""Real agents in a sandbox: `python -m tests.journeys.sandboxed`.

Claude Code, Codex, Copilot CLI, opencode and a LangGraph script do a task of a scripted model
through `ringfence run`: they write a file, run commands, and call a tool of an MCP server. The
record must have all of it in order, and nothing that is secret may be found from inside. Runs as
an ordinary user, in the strict and the reduced tier.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.journeys.environment import Environment, InstallError, prepare
from tests.journeys.sandboxed_agent import AGENTS, SAID, RealAgent
from tests.journeys.sandboxed_scan import source
from tests.sandbox.whole import START_S, WholePlane, ordinary

PROVIDER_KEY = "sk-canary-of-the-provider-7f3a"
TOOL_TOKEN = "canary-of-the-tool-server-9c1e"  # made up, to be looked for
HOME_SECRET = "canary-in-the-callers-home-22d0"
VARIABLE = "canary-in-the-callers-environment-51bb"
CANARIES = (PROVIDER_KEY, TOOL_TOKEN, HOME_SECRET, VARIABLE)
PLANTED = "canary-that-must-be-found-e810"
RUN_S = 180.0  # of a busy machine; at rest none takes more than 20
EVERYTHING = "everything"
TOGETHER = "two at once"
_TOOLS = "import os, sys; from ringfence.testing.tools.__main__ import main; "
_TOOLS += "sys.exit(main(['--port', '0', '--token', os.environ['JOURNEY_TOOL_TOKEN']]))"

CONFIG = """\
format: 1
organisation: acme
users:
  owner@acme.example: {{roles: [admin]}}
providers:
  openai: {{protocol: openai, base_url: "{model}/v1", credential: "${{JOURNEY_PROVIDER_KEY}}"}}
  anthropic: {{protocol: anthropic, base_url: "{model}", credential: "${{JOURNEY_PROVIDER_KEY}}"}}
models:
{models}
tools:
  own: {{runs: agent, read: ["*"]}}
  crm: {{url: "{tools}/mcp", credential: "${{JOURNEY_TOOL_TOKEN}}", read: ["*"]}}
agents:
{agents}
"""
AGENT = """\
  {name}:
    owner: owner@acme.example
    purpose: Do the task.
    models: [{model}]
{tools}
    commands: ["*"]
    sandbox: {{tier: {tier}, read_only: {shown}}}
"""


@dataclass(slots=True)
class Report:
    """What was claimed of one agent, and what of it does not hold."""

    agent: str
    seconds: float = 0.0
    claims: int = 0
    broken: list[str] = field(default_factory=list)
    looked: dict[str, Any] = field(default_factory=dict)

    def claim(self, words: str, *, holds: bool) -> None:
        self.claims += 1
        if not holds:
            self.broken.append(words)


@contextmanager
def server(*words: str) -> Iterator[str]:
    """One of our doubles as a process; gives its address."""
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
            "JOURNEY_TOOL_TOKEN": TOOL_TOKEN,
        },
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1].removesuffix("/mcp")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=START_S)


def script(folder: Path, work: Path) -> Path:
    """The scripted model's part, with the paths of this run."""
    path = folder / "model.yaml"
    rules = [rule for each in AGENTS for rule in each.rules(work)]
    path.write_text(json.dumps({"format": 1, "rules": rules}))
    return path


def configuration(model: str, tools: str, tier: str, installed: Mapping[str, Environment]) -> str:
    """A configuration with every agent that is to be played."""
    played = [each for each in AGENTS if each.folder in installed]
    price = "price: {input: 1, output: 1}"
    return CONFIG.format(
        model=model,
        tools=tools,
        models="\n".join(
            f"  {each.model}: {{provider: {each.provider}, {price}}}" for each in played
        ),
        agents="".join(
            AGENT.format(
                name=each.name,
                model=each.model,
                tools=each.tools,
                tier=tier,
                shown=json.dumps([*each.shown(installed[each.folder])]),
            )
            for each in played
        ),
    )


def judge(report: Report, plane: WholePlane, agent: RealAgent, said: str) -> None:
    """Compare what happened with what must have."""
    notes = plane.work / "notes.txt"
    written = notes.read_text() if notes.exists() else ""
    report.claim("the file was edited", holds=written == f"written by {agent.name}\n")
    report.claim("the user saw the answer", holds=SAID in said)
    scanned(report, plane)
    report.claim(f"no secret is inside: {report.looked}", holds=not report.looked.get("found", 1))
    events = [each for each in plane.events() if each.get("agent_name") == agent.name]
    runs = {each["invocation"] for each in events if each.get("what") == "sandbox.started"}
    report.claim("there is one run", holds=len(runs) == 1)
    mine = [each for each in events if each.get("invocation") in runs]
    report.claim("all of it is of that run", holds=len(mine) == len(events))
    order = [each.get("what") or each.get("resource") for each in mine if _is_telling(each)]
    wanted = ["sandbox.started", *agent.order, "workspace", "sandbox.ended"]
    report.claim(f"{wanted} in order: {_short(order)}", holds=_is_within(wanted, order))
    report.claim("every action has an outcome", holds=_settled(mine))
    wrong = [each for each in mine if _is_wrong(each)]
    report.claim(f"nothing was refused and nothing found: {wrong!r:.600}", holds=not wrong)
    notes.unlink(missing_ok=True)


def scanned(report: Report, plane: WholePlane) -> None:
    """Take what the program that looks for secrets has found."""
    found = plane.work / "scanned.json"
    report.looked = json.loads(found.read_text()) if found.exists() else {}
    report.claim("everything was looked at", holds=report.looked.get("spaces", 0) > 0)
    found.unlink(missing_ok=True)


def everything(report: Report, plane: WholePlane, agent: str) -> None:
    """Look into the system's programs too; what is planted shows that anything can be found."""
    planted = plane.work / "planted.txt"
    planted.write_text(PLANTED)
    line = f"export WORD={PLANTED}; sh -c 'python3 scan.py all > scanned.json; true'"
    ran = plane.run("sh", "-c", line, agent=agent)
    report.claim(f"it ends well: {ran!r:.400}", holds=ran.code == 0)
    scanned(report, plane)
    found = report.looked.pop("found", [])
    others = [each for each in found if each[1] != len(CANARIES)]
    report.claim(f"no secret is inside: {others}", holds=not others)
    where = {str(each[0]).rsplit("/", 1)[-1] for each in found}
    wanted = {"planted.txt", "cmdline", "environ", "mem"}
    report.claim(f"what is planted is found everywhere: {sorted(where)}", holds=where == wanted)
    planted.unlink()


def _is_telling(event: dict[str, Any]) -> bool:
    return event["kind"] in {"intent", "observation"}


def _is_wrong(event: dict[str, Any]) -> bool:
    is_found = str(event.get("what", "")).startswith("finding.")
    return (
        is_found
        or event["kind"] == "refusal"
        or (event.get("detail") or {}).get("verdict") == "deny"
    )


def _settled(events: Sequence[dict[str, Any]]) -> bool:
    intents = [each["action"] for each in events if each["kind"] == "intent"]
    outcomes = [each["action"] for each in events if each["kind"] == "outcome"]
    return sorted(intents) == sorted(outcomes)


def _is_within(wanted: Sequence[str], order: Sequence[Any]) -> bool:
    """Whether all are there, in this order, with anything between them."""
    left = iter(order)
    return all(any(_is_like(each, word) for each in left) for word in wanted)


def _is_like(found: object, word: str) -> bool:
    return isinstance(found, str) and (found == word or found.endswith(f"/{word}"))


def _short(order: Sequence[Any]) -> str:
    return " ".join(str(each).rsplit("/", 1)[-1] for each in order)[-600:]


def together(report: Report, plane: WholePlane, tier: str, agent: str) -> None:
    """Two sandboxes at once share nothing."""
    say = (
        "echo $RINGFENCE_TOKEN $RINGFENCE_SANDBOX; sha256sum < $NODE_EXTRA_CA_CERTS || echo none;"
        " touch /tmp/mine; sleep 1; ls /tmp $HOME; ls -d /proc/[0-9]* | wc -l"
    )
    run = ("sh", "-c", say)
    with plane.running(*run, agent=agent) as one, plane.running(*run, agent=agent) as other:
        first, second = one.communicate(timeout=30)[0], other.communicate(timeout=30)[0]
    mine, theirs = first.split(), second.split()
    report.claim("tokens differ", holds=mine[0] != theirs[0])
    report.claim("sandboxes differ", holds=mine[1] != theirs[1])
    is_own = mine[2] != theirs[2] or mine[2] == "none"
    report.claim("authorities differ", holds=is_own or _has_no_authority(plane))
    if tier == "strict":
        report.claim("files are their own", holds=first.count("mine") == 1)
        report.claim("processes are their own", holds=int(mine[-1]) < 10)


def _has_no_authority(plane: WholePlane) -> bool:
    return not any(each["detail"].get("ca_fingerprint") for each in plane.sights("sandbox.started"))


def play(
    folder: Path, tier: str, agents: Sequence[RealAgent], installed: Mapping[str, Environment]
) -> Iterator[Report]:
    """All of it once."""
    with staged(folder, tier, agents, installed) as plane:
        for agent in agents:
            yield played(plane, agent, installed[agent.folder])
        looked = Report(agent=EVERYTHING)
        began = time.monotonic()
        everything(looked, plane, agents[0].name)
        looked.seconds = time.monotonic() - began
        yield looked
        both = Report(agent=TOGETHER)
        together(both, plane, tier, agents[0].name)
        verified = plane.ask("audit", "verify")
        both.claim(f"the record holds: {verified.stdout}", holds=verified.returncode == 0)
        yield both


@contextmanager
def staged(
    folder: Path, tier: str, agents: Sequence[RealAgent], installed: Mapping[str, Environment]
) -> Iterator[WholePlane]:
    """A running plane before a scripted model and a tool server, with the caller's secrets."""
    home, stage = folder / "home", folder / "stage"
    for each in (home, stage):
        each.mkdir()
    (home / ".secret").write_text(HOME_SECRET)
    played = ("--script", str(script(folder, stage / "work")))
    with (
        server("-c", _TOOLS) as tools,
        server("-m", "ringfence.testing.model", "--port", "0", *played) as model,
    ):
        text = configuration(model, tools, tier, installed)
        plane = make(stage, text, home, search_path(agents, installed))
        (plane.work / "scan.py").write_text(source((*CANARIES, PLANTED)))
        plane.start()
        try:
            yield plane
        finally:
            plane.stop()


def played(plane: WholePlane, agent: RealAgent, installed: Environment) -> Report:
    """One agent's task."""
    for name, path in agent.files.items():
        (plane.work / name).write_bytes(path.read_bytes())
    began = time.monotonic()
    ran = plane.run(*agent.words(installed), agent=agent.name)
    report = Report(agent=agent.name, seconds=time.monotonic() - began)
    report.claim(f"it ends well: {ran!r:.1600}", holds=ran.code == 0)
    judge(report, plane, agent, ran.out)
    return report


def make(stage: Path, text: str, home: Path, search: str) -> WholePlane:
    """A plane whose caller has secrets in environment and home."""
    variables = {
        "JOURNEY_PROVIDER_KEY": PROVIDER_KEY,
        "JOURNEY_TOOL_TOKEN": TOOL_TOKEN,
        "SOME_SECRET": VARIABLE,
        "HOME": str(home),
        "PATH": search,
    }
    plane = WholePlane(stage, text, user=ordinary(), variables=variables)
    plane.within_s = RUN_S
    return plane


def search_path(agents: Sequence[RealAgent], installed: Mapping[str, Environment]) -> str:
    """Where the caller has the agents' programs."""
    places = [
        here.folder / each.commands if each.commands else here.commands
        for each in agents
        for here in [installed[each.folder]]
        if each.command[0] != "python"
    ]
    return os.pathsep.join([*map(str, dict.fromkeys(places)), "/usr/bin", "/bin"])


def show(report: Report) -> None:
    took = f", {report.seconds:.1f} s" if report.seconds else ""
    print(f"{report.agent}: {report.claims} claims, {len(report.broken)} broken{took}")
    if report.looked:
        print(f"  looked at {report.looked}")
    for words in report.broken:
        print(f"  broken: {words}")
    sys.stdout.flush()


def main() -> int:
    """Gives 0 if every claim held."""
    parser = argparse.ArgumentParser(prog="python -m tests.journeys.sandboxed")
    parser.add_argument("--tier", choices=("strict", "reduced", "both"), default="both")
    parser.add_argument("--only", default="", help="names of agents, with commas between them")
    options = parser.parse_args()
    names = set(filter(None, options.only.split(",")))
    if unknown := names - {each.name for each in AGENTS}:
        parser.error(f"no such agent: {', '.join(sorted(unknown))}")
    agents = [each for each in AGENTS if not names or each.name in names]
    try:
        installed = {
            each: asyncio.run(prepare(each)) for each in dict.fromkeys(one.folder for one in agents)
        }
    except InstallError as error:
        print(f"a client could not be installed; the first run needs a network:\n{error}")
        return 2
    broken = 0
    for tier in ("strict", "reduced") if options.tier == "both" else (options.tier,):
        print(f"{tier}:")
        with tempfile.TemporaryDirectory(prefix="journey-") as place:
            folder = Path(place).resolve()
            folder.chmod(0o755)
            for report in play(folder, tier, agents, installed):
                show(report)
                broken += len(report.broken)
    return int(broken > 0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
