"""What the demo starts, in which order, and how all of it ends."""

import os
import shutil
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from ringfence.api import local
from ringfence.cli.connection import Connection, Place, connect_running
from ringfence.cli.demo.child import Child
from ringfence.config.settings import Settings
from ringfence.domain.error import UnavailableError, UsageError

_FOLDER = Path(__file__).parent
_HOST = "127.0.0.1"
_AGENT_S = 60.0
_LABEL = "demo"
_PROGRAM = "agent.py"
_ORDERS = "4711,in transit\n4712,delivered\n4713,lost\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the plane listens; 0 is any that is free."""

    data: int
    control: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one sample agent said at its end, and its trace."""

    agent: str
    said: str
    trace: str
    steps: int
    refusals: int
    cost_nano: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """Why a sample agent could not be run on this machine, and what to do about it."""

    agent: str
    why: str


class _Ready(msgspec.Struct):
    """What a plane writes when it listens."""

    data_port: int
    control_port: int


class _Token(msgspec.Struct):
    token: str


class _Trace(msgspec.Struct):
    id: str
    steps: int
    refusals: int
    cost_nano: str


class Stage:
    """The demo's processes; all of them end with the context."""

    def __init__(self, folder: Path, ports: Ports) -> None:
        """Nothing is started yet."""
        self.folder = folder
        self.workspace = folder.with_name(f"{folder.name}-work")
        """What the sandboxed agent may change; the plane's own folder is shown to none."""
        self.ports = ports
        self.model_url = ""
        self._children: list[Child] = []
        settings = Settings(config=folder / "ringfence.yaml", data=folder)
        self._place = Place(settings=settings)

    def __enter__(self) -> Self:
        """Make the folder and the configuration. Raises UsageError."""
        try:
            self._prepare()
        except OSError as error:
            raise UsageError(
                "data_folder_unusable",
                f"cannot work in `{self.folder}`: {(error.strerror or '').lower()}",
                help="name another folder with --data",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process, by its own id."""
        for child in self._children:
            child.ask_to_end()
        for child in self._children:
            child.end()

    def start(self) -> None:
        """Start model and plane; both answer when this returns. Raises UnavailableError.

        From then on `ports` and `model_url` say where they listen.
        """
        script = str(_FOLDER / "script.yaml")
        model = self._python("model", "ringfence.testing.model", "--script", script, "--port", "0")
        self.model_url = model.line(" listening on ").split()[-1]
        self._configure()
        where = ("--config", str(self._place.settings.config), "--data", str(self.folder))
        listen = ("--port", str(self.ports.data), "--console-port", str(self.ports.control))
        plane = self._python("plane", "ringfence", "up", *where, *listen)
        ready = msgspec.json.decode(plane.line('"event": "ready"'), type=_Ready)
        self.ports = Ports(data=ready.data_port, control=ready.control_port)
        plane.wait_until_ready(self.ports.data, "/readyz")

    def play(self) -> tuple[str, Sequence[Run | NotRun]]:
        """Let the sample agents work. Gives the first one's token, which stays good."""
        plane = connect_running(self._place)
        root = f"http://{_HOST}:{self.ports.data}"
        support, research = (_token(plane, name) for name in ("support", "research"))
        playing = {
            "support": self._agent(
                "support", {"OPENAI_BASE_URL": f"{root}/v1", "OPENAI_API_KEY": support}
            ),
            "research": self._agent(
                "research", {"ANTHROPIC_BASE_URL": root, "ANTHROPIC_API_KEY": research}
            ),
        }
        coder = self._sandboxed("coder")
        said = {name: child.wait(_AGENT_S) for name, child in playing.items()}
        runs: list[Run | NotRun] = [_run(plane, name, words) for name, words in said.items()]
        try:
            runs.append(_run(plane, "coder", coder.wait(_AGENT_S)))
        except UnavailableError as error:
            runs.append(NotRun(agent="coder", why=error.help))
        return support, runs

    def check(self) -> None:
        """Raises UnavailableError if model or plane have ended by themselves."""
        for child in self._children[:2]:
            child.check()

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.chmod(0o700)
        self.workspace.mkdir(mode=0o700, exist_ok=True)
        (self.workspace / "orders.csv").write_text(_ORDERS, encoding="utf-8")
        if local.is_answering(local.address(self.folder)):
            raise UsageError(
                "plane_running",
                f"a plane is running with data folder `{self.folder}`",
                help="end it first, or name another folder with --data",
            )

    def _configure(self) -> None:
        text = (resources.files(__package__) / "configuration.yaml").read_text(encoding="utf-8")
        text = text.replace("@MODEL@", self.model_url)
        self._place.settings.config.write_text(text, encoding="utf-8")

    def _python(self, name: str, module: str, *arguments: str) -> Child:
        command = [sys.executable, "-P", "-m", module, *arguments]
        return self._started(Child(name, command, os.environ, self.folder / f"{name}.log"))

    def _agent(self, name: str, credentials: dict[str, str]) -> Child:
        """A sample agent: it gets nothing of our environment but where programs are."""
        given = {"PATH": os.environ.get("PATH", os.defpath), "NO_PROXY": "*", **credentials}
        command = [sys.executable, "-I", str(_FOLDER / f"{name}.py")]
        return self._started(Child(name, command, given, self.folder / f"{name}.log"))

    def _sandboxed(self, name: str) -> Child:
        """A sample agent in a sandbox, with its program and its work in one folder."""
        work = self.workspace.absolute()
        shutil.copyfile(_FOLDER / f"{name}.py", work / _PROGRAM)
        ours = [sys.executable, "-P", "-m", "ringfence", "run", "--data", str(self.folder)]
        task = ["--agent", name, "--workspace", str(work), "--", sys.executable, "-I", _PROGRAM]
        return self._started(Child(name, [*ours, *task], os.environ, self.folder / f"{name}.log"))

    def _started(self, child: Child) -> Child:
        self._children.append(child)
        return child


def choose_ports(data: int | None, control: int | None, defaults: Ports) -> tuple[Ports, list[int]]:
    """Ports to listen on, and those default ones that were taken and give way to any other.

    Raises UsageError `port_taken` for one that was asked for.
    """
    for asked in (data, control):
        if asked and not _is_free(asked):
            raise UsageError(
                "port_taken", f"port {asked} is already in use", help="name another, or none"
            )
    taken = [
        port
        for asked, port in ((data, defaults.data), (control, defaults.control))
        if asked is None and not _is_free(port)
    ]
    chosen = Ports(
        data=_choose(defaults.data if data is None else data, taken),
        control=_choose(defaults.control if control is None else control, taken),
    )
    return chosen, taken


def _choose(port: int, taken: Sequence[int]) -> int:
    return 0 if port in taken else port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _token(plane: Connection, agent: str) -> str:
    answer = plane.post(f"/agents/{agent}/tokens", {"label": _LABEL})
    return msgspec.json.decode(answer, type=_Token).token


def _run(plane: Connection, agent: str, said: str) -> Run:
    (item,) = plane.listing("/traces", 1, agent=agent)
    found = msgspec.json.decode(item, type=_Trace)
    return Run(
        agent=agent,
        said=said,
        trace=found.id,
        steps=found.steps,
        refusals=found.refusals,
        cost_nano=found.cost_nano,
    )
