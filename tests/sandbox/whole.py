"""A whole plane as processes of its own, and runs through its command line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sandbox import jail
from tests.sandbox.ordinary_python import Python, python_for

START_S = 120.0
ORDINARY = 65534
RUN_S = 150.0
CONFIG = """\
format: 1
organisation: acme
users:
  owner@acme.example: {{roles: [admin]}}
providers:
  house: {{protocol: openai, base_url: "http://127.0.0.1:9/v1"}}
models:
  small: {{provider: house, price: {{input: 0.1, output: 0.4}}}}
agents:
{agents}
"""
AGENT = """\
  {name}:
    owner: owner@acme.example
    purpose: Be run.
    models: [small]
    commands: ["*"]
    sandbox: {tier}
"""


def config(*agents: str) -> str:
    return CONFIG.format(agents="\n".join(agents))


_OURS = Python(path=sys.executable)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who runs the plane and the agents, with a Python that they can start; None is ourselves."""

    uid: int | None = None
    python: Python = _OURS

    def start(self, command: Sequence[str], **more: Any) -> "subprocess.Popen[Any]":  # noqa: ANN401
        given = {} if self.uid is None else {**_AS_NOBODY, "user": self.uid}
        return subprocess.Popen(command, **given, **more)  # noqa: S603 (our own programs)


_AS_NOBODY: Mapping[str, Any] = {"group": ORDINARY, "extra_groups": []}


def ordinary() -> User:
    """An ordinary user: ourselves, or where we are root, one that has nothing."""
    if os.geteuid():
        return User()
    return User(uid=ORDINARY, python=python_for(ORDINARY))


class WholePlane:
    """One plane in a folder; `start` and `stop` as often as wanted."""

    def __init__(
        self,
        folder: Path,
        text: str,
        *options: str,
        user: User | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.user = user or User()
        self.variables = dict(variables or {})
        self.within_s = RUN_S
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.data = folder / "data"
        (folder / "ringfence.yaml").write_text(text)
        self.options = options
        self.process: subprocess.Popen[Any] | None = None
        self.log = folder / "plane.log"
        if self.user.uid is not None:
            for each in (folder, self.work):
                os.chown(each, self.user.uid, ORDINARY)

    @property
    def environment(self) -> Mapping[str, str]:
        source = Path(__file__).parents[2] / "src"
        packages = [each for each in sys.path if each.endswith("site-packages")]
        more = packages if self.user.uid is not None else []
        return {
            **os.environ,
            **self.user.python.variables,
            **self.variables,
            "PYTHONPATH": os.pathsep.join([str(source), *more]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RINGFENCE_CONFIG": str(self.folder / "ringfence.yaml"),
            "RINGFENCE_DATA": str(self.data),
        }

    def command(self, *words: str) -> Sequence[str]:
        return [self.user.python.path, "-m", "ringfence", *words]

    def start(self, within_s: float = START_S) -> None:
        with self.log.open("wb") as log:
            self.process = self.user.start(
                self.command("up", "--port", "0", "--console-port", "0", *self.options),
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        ends = time.monotonic() + within_s
        while '"event": "ready"' not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < ends, self.log.read_text()
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(START_S)
            self.process = None

    def ask(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
        """One command of ours, to its end."""
        typed = more.pop("input", None)
        plain: dict[str, Any] = {"env": self.environment, "cwd": self.work}
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = self.user.start(self.command(*words), text=True, **pipes, **(plain | more))
        try:
            out, err = process.communicate(typed, timeout=self.within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def run(self, *command: str, agent: str = "a", options: Sequence[str] = ()) -> "Ran":
        return Ran(self.ask("run", "--agent", agent, *options, "--", *command))

    @contextmanager
    def running(
        self, *command: str, agent: str = "a", options: Sequence[str] = ()
    ) -> Iterator["subprocess.Popen[str]"]:
        """A run that goes on meanwhile; over, one way or another, at the end."""
        process = self.user.start(
            self.command("run", "--agent", agent, *options, "--", *command),
            env=self.environment,
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.communicate(timeout=RUN_S)

    def events(self) -> list[dict[str, Any]]:
        """The record, oldest first."""
        asked = self.ask("audit", "query", "--json", "--limit", "1000")
        assert asked.returncode == 0, asked.stderr
        found = json.loads(asked.stdout)
        return sorted(found, key=lambda each: int(each["time_us"]))

    def sights(self, what: str) -> list[dict[str, Any]]:
        """What was seen of sandboxes, of one kind."""
        return [each for each in self.events() if each.get("what") == what]


@contextmanager
def standing(*agents: str) -> Iterator[WholePlane]:
    """A plane of an ordinary user with these agents, which runs for as long as it is needed."""
    with jail.place() as folder:
        made = WholePlane(folder / "plane", config(*agents), user=ordinary())
        made.start()
        try:
            yield made
        finally:
            made.stop()


class Ran:
    """What came of a run."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


def first_line(process: "subprocess.Popen[str]") -> str:
    """What a run says first; it is bounded by the test's own time."""
    assert process.stdout is not None
    return process.stdout.readline()


def processes(mark: str, within_s: float = 60.0) -> list[int]:
    """Those that have this as a word of their command line, as soon as there is one."""
    ends = time.monotonic() + within_s
    while not (found := _having(mark)):
        assert time.monotonic() < ends, f"no process has {mark}"
        time.sleep(0.02)
    return found


def gone(mark: str, within_s: float = 45.0) -> bool:
    """Whether every process with this word ends in time."""
    ends = time.monotonic() + within_s
    while _having(mark):
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def _having(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found
