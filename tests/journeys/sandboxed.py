"""Real agents in a sandbox: `python -m tests.journeys.sandboxed`.

Claude Code and Codex, as they are released, do a task of a scripted model through `ringfence run`:
they write a file, run commands, and call a tool of an MCP server. The record must have all of it in
order, and nothing that is secret may be found from inside. Runs as an ordinary user.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.journeys.environment import prepare
from tests.sandbox.whole import START_S, User, WholePlane, ordinary

PROVIDER_KEY = "sk-canary-of-the-provider-7f3a"
TOOL_TOKEN = "canary-of-the-tool-server-9c1e"  # made up, to be looked for
HOME_SECRET = "canary-in-the-callers-home-22d0"
VARIABLE = "canary-in-the-callers-environment-51bb"
CANARIES = (PROVIDER_KEY, TOOL_TOKEN, HOME_SECRET, VARIABLE)

CONFIG = """\
format: 1
organisation: acme
users:
  owner@acme.example: {{roles: [admin]}}
providers:
  openai: {{protocol: openai, base_url: "{model}/v1", credential: "${{JOURNEY_PROVIDER_KEY}}"}}
  anthropic: {{protocol: anthropic, base_url: "{model}", credential: "${{JOURNEY_PROVIDER_KEY}}"}}
models:
  gpt: {{provider: openai, price: {{input: 1, output: 1}}}}
  sonnet: {{provider: anthropic, price: {{input: 1, output: 1}}}}
tools:
  own: {{runs: agent, read: ["*"]}}
  crm: {{url: "{tools}/mcp", credential: "${{JOURNEY_TOOL_TOKEN}}", read: ["*"]}}
agents:
  claude:
    owner: owner@acme.example
    purpose: Do the task.
    models: [sonnet]
    tools: ["own__*", "crm__*"]
    commands: ["*"]
    sandbox: {tier}
  codex:
    owner: owner@acme.example
    purpose: Do the task.
    models: [gpt]
    tools: ["crm__*"]
    commands: ["*"]
    sandbox: {tier}
"""
SCAN = "python3 scan.py > scanned.json; cat scanned.json"
SCRIPT = {
    "format": 1,
    "rules": [
        {
            "when": {"model": "sonnet"},
            "answers": [
                {"tool_calls": [{"name": "Write", "arguments": {}}]},
                {"tool_calls": [{"name": "Bash", "arguments": {"command": SCAN}}]},
                {"tool_calls": [{"name": "mcp__crm__echo", "arguments": {"text": "hi"}}]},
                {"text": "All is done."},
            ],
        },
        {
            "when": {"model": "gpt"},
            "answers": [
                {"tool_calls": [{"name": "exec_command", "arguments": {}}]},
                {"tool_calls": [{"name": "exec_command", "arguments": {"cmd": SCAN}}]},
                {"tool_calls": [{"name": "echo", "arguments": {"text": "from codex"}}]},
                {"text": "All is done."},
            ],
        },
    ],
}
SCANNER = '''\
"""Looks for secrets in everything that can be read from inside, and says what was looked at."""
import json, os, pathlib
WORDS = [bytes(reversed(bytes.fromhex(word))) for word in %(words)r]
LONGEST = max(map(len, WORDS))
found, files, read, spaces, variables = [], 0, 0, 0, 0
def look(where, data):
    for number, word in enumerate(WORDS):
        if word in data:
            found.append([where, number])
def file(path):
    global files, read
    try:
        with open(path, "rb", buffering=0) as handle:
            files += 1
            tail = b""
            while data := handle.read(1 << 20):
                read += len(data)
                look(path, tail + data)
                tail = data[-LONGEST:]
    except OSError:
        pass
ROOTS = ["/etc", "/home", "/run", "/tmp", "/var", "/dev/shm", "/opt", "/srv", "/root", os.getcwd()]
for root in ROOTS:
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path) and not name.startswith("scan"):
                file(path)
for process in pathlib.Path("/proc").iterdir():
    if not process.name.isdigit():
        continue
    for name in ("environ", "cmdline"):
        try:
            data = (process / name).read_bytes()
        except OSError:
            continue
        variables += data.count(b"\\0")
        look(str(process / name), data)
    if int(process.name) == os.getpid():
        continue  # it holds what it looks for
    try:
        maps = (process / "maps").read_text().splitlines()
        memory = open(process / "mem", "rb", buffering=0)
    except OSError:
        continue
    spaces += 1
    for line in maps:
        area, mode = line.split()[:2]
        if "r" not in mode:
            continue
        start, end = (int(each, 16) for each in area.split("-"))
        tail = b""
        while start < end:
            try:
                memory.seek(start)
                data = memory.read(min(1 << 20, end - start))
            except (OSError, OverflowError, ValueError):
                break
            if not data:
                break
            look(f"{process}/mem", tail + data)
            tail = data[-LONGEST:]
            start += len(data)
print(json.dumps({"found": found, "files": files, "bytes": read, "spaces": spaces,
                  "variables": variables}))
'''


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
def server(module: str, *options: str) -> Iterator[str]:
    """One of our doubles as a process; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1].removesuffix("/mcp")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=START_S)


def script(folder: Path, work: Path) -> Path:
    """The scripted model's part, with the paths of this run."""
    rules = json.loads(json.dumps(SCRIPT))
    claude, codex = (rule["answers"][0]["tool_calls"][0] for rule in rules["rules"])
    claude["arguments"] = {"file_path": f"{work}/notes.txt", "content": "written by claude\n"}
    codex["arguments"] = {"cmd": "printf 'written by codex\\n' > notes.txt; git init -q ."}
    path = folder / "model.yaml"
    path.write_text(json.dumps(rules))
    return path


def commands(agent: str) -> Sequence[str]:
    """How a user starts it."""
    if agent == "claude":
        return ("claude", "-p", "Do the task.")
    return ("codex", "exec", "--skip-git-repo-check", "Do the task.")


def judge(report: Report, plane: WholePlane, agent: str, said: str) -> None:
    """Compare what happened with what must have."""
    notes = plane.work / "notes.txt"
    written = notes.read_text() if notes.exists() else ""
    report.claim("the file was edited", holds=written == f"written by {agent}\n")
    report.claim("the user saw the answer", holds="All is done." in said)
    scanned = plane.work / "scanned.json"
    report.looked = json.loads(scanned.read_text()) if scanned.exists() else {}
    report.claim("everything was looked at", holds=report.looked.get("spaces", 0) > 0)
    # The reduced tier sees other processes' command lines (docs/sandbox.md); one has a token in it.
    found = [each for each in report.looked.get("found", [None]) if not _is_known(each, plane)]
    report.claim(f"no secret is inside: {found}", holds=not found)
    events = [each for each in plane.events() if each.get("agent_name") == agent]
    runs = {each["invocation"] for each in events if each.get("what") == "sandbox.started"}
    report.claim("there is one run", holds=len(runs) == 1)
    mine = [each for each in events if each.get("invocation") in runs]
    order = [each.get("what") or each.get("resource") for each in mine if _is_telling(each)]
    model = "sonnet" if agent == "claude" else "gpt"
    wanted = ["sandbox.started", model, "bash", model, "python3", model, "crm__echo", model]
    if agent == "claude":
        wanted = [*wanted[:2], "own__Write", *wanted[3:4], "own__Bash", *wanted[4:]]
    wanted += ["workspace", "sandbox.ended"]
    report.claim(f"{wanted} in order: {_short(order)}", holds=_is_within(wanted, order))
    outcomes = [each for each in mine if each["kind"] == "outcome" and "crm" in str(each)]
    report.claim("every action has an outcome", holds=_settled(mine))
    report.claim("the tool was called", holds=bool(outcomes) or "crm__echo" in order)
    notes.unlink(missing_ok=True)
    scanned.unlink(missing_ok=True)


def _is_known(found: Sequence[Any] | None, plane: WholePlane) -> bool:
    is_reduced = "sandbox: reduced" in (plane.folder / "ringfence.yaml").read_text()
    return is_reduced and found is not None and str(found[0]).endswith("/cmdline")


def _is_telling(event: dict[str, Any]) -> bool:
    return event["kind"] in {"intent", "observation"}


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


def together(report: Report, plane: WholePlane, tier: str) -> None:
    """Two sandboxes at once share nothing."""
    say = (
        "echo $RINGFENCE_TOKEN $RINGFENCE_SANDBOX; sha256sum < $NODE_EXTRA_CA_CERTS || echo none;"
        " touch /tmp/mine; sleep 1; ls /tmp $HOME; ls -d /proc/[0-9]* | wc -l"
    )
    run = ("sh", "-c", say)
    with plane.running(*run, agent="claude") as one, plane.running(*run, agent="claude") as other:
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


def play(folder: Path, tier: str, names: Sequence[str], paths: dict[str, Path]) -> list[Report]:
    """All of it once."""
    user = ordinary()
    reports: list[Report] = []
    home = folder / "home"
    home.mkdir()
    (home / ".secret").write_text(HOME_SECRET)
    stage = folder / "stage"
    stage.mkdir()
    with (
        server("ringfence.testing.tools", "--token", TOOL_TOKEN) as tools,
        server("ringfence.testing.model", "--script", str(script(folder, stage / "work"))) as model,
    ):
        plane = make(stage, CONFIG.format(model=model, tools=tools, tier=tier), user, home, paths)
        words = [each.encode()[::-1].hex() for each in CANARIES]
        (plane.work / "scan.py").write_text(SCANNER % {"words": words})
        plane.start()
        try:
            for name in names:
                began = time.monotonic()
                ran = plane.run(*commands(name), agent=name)
                report = Report(agent=name, seconds=time.monotonic() - began)
                report.claim(f"it ends well: {ran!r:.800}", holds=ran.code == 0)
                judge(report, plane, name, ran.out)
                reports.append(report)
            both = Report(agent="two at once")
            together(both, plane, tier)
            reports.append(both)
            verified = plane.ask("audit", "verify")
            both.claim(f"the record holds: {verified.stdout}", holds=verified.returncode == 0)
        finally:
            plane.stop()
    return reports


def make(stage: Path, text: str, user: User, home: Path, paths: dict[str, Path]) -> WholePlane:
    """A plane whose caller has secrets in environment and home."""
    search = os.pathsep.join([*map(str, paths.values()), "/usr/bin", "/bin"])
    variables = {
        "JOURNEY_PROVIDER_KEY": PROVIDER_KEY,
        "JOURNEY_TOOL_TOKEN": TOOL_TOKEN,
        "SOME_SECRET": VARIABLE,
        "HOME": str(home),
        "PATH": search,
    }
    return WholePlane(stage, text, user=user, variables=variables)


def main() -> int:
    """Gives 0 if every claim held."""
    parser = argparse.ArgumentParser(prog="python -m tests.journeys.sandboxed")
    parser.add_argument("--tier", choices=("strict", "reduced"), default="strict")
    parser.add_argument("--only", choices=("claude", "codex"))
    options = parser.parse_args()
    names = [options.only] if options.only else ["claude", "codex"]
    clients = {"claude": "claude_code", "codex": "codex"}
    paths = {name: asyncio.run(prepare(clients[name])).commands for name in names}
    with tempfile.TemporaryDirectory(prefix="journey-") as place:
        folder = Path(place).resolve()
        folder.chmod(0o755)
        reports = play(folder, options.tier, names, paths)
    for report in reports:
        print(f"{report.agent}: {report.claims} claims, {len(report.broken)} broken", end="")
        print(f", {report.seconds:.1f} s" if report.seconds else "")
        if report.looked:
            print(f"  looked at {report.looked}")
        for words in report.broken:
            print(f"  broken: {words}")
    return int(any(report.broken for report in reports))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
