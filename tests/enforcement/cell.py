"""A world with one open sandbox, and the short way to run commands in it."""

import asyncio
from typing import Any

import msgspec
from tests.gateways.world import World, agent, organisation

from ringfence.domain.agent import SandboxTier, Scope
from ringfence.domain.event import Change, Observation
from ringfence.domain.monitoring import Close, Ended, ExecAsked, ExecWaits, Join, Kill
from ringfence.domain.organisation import Organisation
from ringfence.domain.sandbox import SandboxEnd, SandboxOrder
from ringfence.domain.verdict import Reason
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.command_words import arguments_of
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.enforcement.sandbox_registry import Sandboxes, SandboxParts
from ringfence.enforcement.shell_call import ExecKnock
from ringfence.enforcement.shell_ticket import ExecTicket
from ringfence.testing.clock import ManualClock

GIT = "/usr/bin/git"


def house(*commands: str, **more: Any) -> Organisation:  # noqa: ANN401 (fields of an agent)
    """The usual organisation, whose agent may run these."""
    scope = Scope(models=frozenset({"small"}), commands=commands or ("git", "bash", "/project/*"))
    policies = more.pop("policies", None)
    triage = agent(**({"scope": scope} | more))
    return organisation(agents={"triage": triage}, policies=policies)


class Watchman:
    """A monitor that ends everything when it is told to."""

    def __init__(self) -> None:
        self.told: list[ExecWaits | Kill] = []
        self.heard = asyncio.Event()

    async def end(self, _close: Close) -> Ended | None:
        return Ended(exit_code=0)

    def tell(self, message: ExecWaits | Kill) -> None:
        self.told.append(message)
        self.heard.set()


class Cell:
    """One sandbox of a worker; `open` before anything else, within a running loop."""

    def __init__(
        self,
        config: Organisation | None = None,
        *,
        approvals: Approvals | None = None,
        clock: ManualClock | None = None,
    ) -> None:
        self.world = World(config or house(), approvals=approvals, clock=clock)
        self.ledger = self.world.ledger
        self.monitor = Watchman()
        worker = self.world.worker
        self.shell = worker.shell
        self.path = worker.shell.path
        self.door = worker.shell.door
        self.sandboxes = Sandboxes(
            SandboxParts(
                directory=worker.directory,
                invocations=worker.invocations,
                ledger=self.ledger,
                clock=self.world.clock,
                ids=self.world.ids,
                record=self.shell.record,
                doors=(self.door,),
            ),
            "/run/sandboxes.sock",
        )
        self._box: LiveSandbox | None = None

    async def open(self, **more: object) -> LiveSandbox:
        """Begin the sandbox; `more` are parts of its order."""
        plain: dict[str, object] = {
            "organisation": "org_acme",
            "agent": "agt_triage",
            "tier": SandboxTier.STRICT,
            "command": ("bash",),
            "workspace": "/project",
            "directory": "/project",
            "actor": "cli:uid=0",
        }
        grant = await self.sandboxes.open(SandboxOrder(**(plain | more)))  # type: ignore[arg-type] # an order's parts
        join = Join(
            version="1",
            ticket=grant.ticket,
            tier=grant.tier,
            pid=7,
            plan="sha256:plan",
            binds=("ro /usr", "rw /project"),
            kinds=(),
            bounds=("64 processes: cgroup v2", "memory: no bound"),
        )
        self._box = await self.sandboxes.join(join, (), self.monitor)
        return self._box

    @property
    def box(self) -> LiveSandbox:
        assert self._box is not None
        return self._box

    async def close(self, ended: Ended | None = None) -> None:
        await self.sandboxes.close(self.box.id, SandboxEnd.EXITED, ended=ended)

    def knock(self, path: str = GIT, *argv: str, **more: Any) -> ExecKnock:  # noqa: ANN401 (fields)
        given = argv or (path.rpartition("/")[2],)
        plain = ExecKnock(
            caller=self.box.caller,
            path=path,
            arguments=arguments_of(path, given, "/project"),
            sandbox=self.box.id,
            process=100,
            parent=1,
        )
        return msgspec.structs.replace(plain, **more)

    def begin(self, path: str = GIT, *argv: str, **more: Any) -> ExecTicket | RefusedAction:  # noqa: ANN401
        begun = self.path.begin(self.knock(path, *argv, **more))
        assert isinstance(begun, ExecTicket | RefusedAction), begun
        return begun

    async def go(self, path: str = GIT, *argv: str, **more: Any) -> ExecTicket:  # noqa: ANN401
        """A command that is allowed, and runs."""
        ticket = self.begin(path, *argv, **more)
        assert isinstance(ticket, ExecTicket), ticket
        await ticket.durable
        assert self.path.written(ticket) is None
        self.path.began(ticket)
        return ticket

    def refused(self, path: str = GIT, *argv: str, **more: Any) -> Reason:  # noqa: ANN401
        found = self.begin(path, *argv, **more)
        assert isinstance(found, RefusedAction), found
        return found.verdict.reason

    def asked(self, path: str = GIT, *argv: str, **more: Any) -> ExecAsked:  # noqa: ANN401
        """The same as a monitor asks it."""
        plain = ExecAsked(
            id=1,
            time_us=0,
            pid=100,
            parent=1,
            path=path,
            argv=argv or (path.rpartition("/")[2],),
            directory="/project",
            exe="/usr/bin/bash",
            program=path,
        )
        return msgspec.structs.replace(plain, **more)

    @property
    def seen(self) -> list[Observation]:
        return [each for each in self.ledger.events if isinstance(each, Observation)]

    def findings(self, name: str) -> list[dict[str, str]]:
        changes = [each for each in self.ledger.events if isinstance(each, Change)]
        return [each.detail for each in changes if each.what == f"finding.{name}"]
