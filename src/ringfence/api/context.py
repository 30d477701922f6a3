"""What the control plane's routes work with, and what they ask of the data plane's workers."""

from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ringfence.api.scan import Scans
from ringfence.api.undoing import Undoings
from ringfence.decisions.budget import MONEY
from ringfence.decisions.period import Line
from ringfence.domain.agent import AgentState
from ringfence.domain.budget import Unit
from ringfence.domain.credential import AgentCredential
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.model import UpstreamStanding
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.sandbox import Sandbox, SandboxGrant, SandboxOrder
from ringfence.enforcement.approval import ApprovalDesk
from ringfence.enforcement.secret_desk import SecretDesk
from ringfence.enforcement.tool_custody import ToolCustody
from ringfence.enforcement.tool_grant import ToolGrants
from ringfence.protocols.dialect import Reader
from ringfence.stores.body import BodyReader
from ringfence.stores.body.place import Shelves
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.hold import Holds
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.state.grant import Grant
from ringfence.stores.state.store import StateStore
from ringfence.telemetry.metric import Measured
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One worker of the data plane.

    `cpu_us`, `messages` (with its supervisor, both ways) and `inquiries` (of them, questions that a
    call may have waited for) only rise while it lives. `trouble` is empty if it can do its work.
    """

    pid: int
    epoch: int
    open_invocations: int
    connections: int
    memory_bytes: int = 0
    cpu_us: int = 0
    messages: int = 0
    inquiries: int = 0
    trouble: str = ""


class Workers(Protocol):
    """Every live worker of the data plane as one.

    The methods that tell of a change return when each worker has acknowledged it, or when the
    authority of one that did not has run out (design note 012). Raises UnavailableError.
    """

    async def credentials_changed(self, credentials: Sequence[AgentCredential]) -> None:
        """Take these credentials as new, or as replacing those with the same id."""

    async def agent_state_changed(self, organisation: str, agent: str, state: AgentState) -> None:
        """Admit, or refuse and stop, this agent from now on."""

    async def grant_added(self, grant: Grant) -> None:
        """Raise the limit of one account in one window."""

    async def budgets(self, organisation: str, units: Container[Unit] = MONEY) -> Sequence[Line]:
        """The books of every account of an organisation that was used in its present window."""

    async def status(self) -> Sequence[WorkerStatus]:
        """How each worker is. Empty when no data plane is running."""

    async def carry_out(self, errand: Errand) -> ErrandOutcome:
        """Make a call that a person asks for, at one of them; returns when it has ended."""

    async def tool_grant_changed(self, organisation: str, server: str) -> None:
        """Use no token any more that was got with an earlier grant."""

    async def upstreams(self, organisation: str) -> Sequence[UpstreamStanding]:
        """How the upstreams of an organisation stand: those that fail, are paced or paused."""

    async def metrics(self) -> Measured:
        """What all workers have counted since they started, of every organisation."""

    async def open_sandbox(self, order: SandboxOrder) -> SandboxGrant:
        """Have a worker make a sandbox; it serves it from then on. Raises UsageError too."""

    async def sandboxes(self, organisation: str) -> Sequence[Sandbox]:
        """Every sandbox of an organisation that has not ended."""

    async def end_sandbox(self, organisation: str, sandbox: str, message: str) -> bool:
        """End a sandbox, and return when that is recorded; False if there is none of that id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeNote:
    """What a `Change` event says; time, epoch and log are added by whoever writes it."""

    organisation: str
    actor: str
    what: str
    subject: str
    detail: Mapping[str, str] = field(default_factory=dict)
    invocation: str = ""
    root: str = ""


class RefusedAgents:
    """Which agents have knocked at the control plane, so that a loop does not fill the ledger."""

    def __init__(self) -> None:
        """Nobody yet; there are never more entries than credentials."""
        self._seen: dict[str, tuple[int, int]] = {}

    def count(self, credential: str, now_us: int) -> int | None:
        """How many attempts to record now, this one included; None while a record is recent."""
        recorded_us, waiting = self._seen.get(credential, (now_us - _REFUSAL_EVERY_US, 0))
        if now_us - recorded_us < _REFUSAL_EVERY_US:
            self._seen[credential] = (recorded_us, waiting + 1)
            return None
        self._seen[credential] = (now_us, 0)
        return waiting + 1


async def _nothing_to_write() -> None:
    """Nobody writes while no plane is running."""


_REFUSAL_EVERY_US = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlContext:
    """Everything the control plane's routes need; made once by `app`.

    `configuration` gives the one in force. `reload` reads the files again for an actor, all or
    nothing, and returns when every worker has the new epoch (UsageError if they are wrong).
    `proposed` only reads them, blocking: what a reload would take, without prices.
    `record` writes a change and returns when it is durable. `open_ledger` and `open_bodies` give
    fresh readers, one for each request, `open_shelves` what bodies are erased from, `holds` what
    must not be erased of an organisation. `approvals` is where held calls wait,
    `tools` keeps what is accepted of tools, `secrets` stores their values. `readers` make
    bodies readable, by the `operation` of an intent (a dialect's value). `is_serving` tells whether
    the data plane is running (it is not when the command line works on a stopped plane);
    `readiness` says why it is not ready, `warnings` what goes wrong without stopping anybody.
    `keys` sign the record; `vouch` signs all logs that nobody writes, blocking.
    `catch_up` returns when what was recorded so far can be read. `policy_trouble` says, blocking,
    what in an organisation's policies does not fit the tools that are known; empty if all does.
    `own_files` are the plane's own on this machine, with those of an organisation.
    """

    state: StateStore
    workers: Workers
    configuration: Callable[[], Configuration]
    reload: Callable[[str], Awaitable[Configuration]]
    proposed: Callable[[], Configuration]
    record: Callable[[ChangeNote], Awaitable[None]]
    open_ledger: Callable[[], LedgerReader]
    open_bodies: Callable[[], BodyReader]
    open_shelves: Callable[[], Shelves]
    holds: Callable[[str], Holds]
    readers: Mapping[str, Reader]
    approvals: ApprovalDesk
    tools: ToolCustody
    secrets: SecretDesk
    clock: Clock
    ids: Ids
    version: str
    started_us: int
    is_serving: bool = True
    readiness: Callable[[], str] = lambda: ""
    warnings: Callable[[], Sequence[str]] = tuple
    keys: SigningKeys | None = None
    vouch: Callable[[], None] = lambda: None
    catch_up: Callable[[], Awaitable[None]] = _nothing_to_write
    policy_trouble: Callable[[Organisation], str] = lambda _: ""
    own_files: Callable[[Organisation], Sequence[str]] = lambda _: ()
    refused: RefusedAgents = field(default_factory=RefusedAgents)
    scans: Scans = field(default_factory=Scans)
    grants: ToolGrants | None = None
    """What people have granted of tool servers; None while no plane is running."""
    undoings: Undoings = field(default_factory=Undoings)
    figures: dict[str, tuple[int, list[Any], int]] = field(default_factory=dict)
    """Of budgets, by organisation: when they were read, and what is shown of them."""

    async def scan(self, organisation: str, read: Callable[[], Result]) -> Result:
        """Read the record in a thread, in this organisation's turn.

        What happened before the question is in the answer.
        """
        await self.catch_up()
        return await self.scans.read(organisation, read)
