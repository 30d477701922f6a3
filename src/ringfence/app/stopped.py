"""The control plane's functions on a plane that is not running, for the command line."""

import os
from collections.abc import AsyncIterator, Container, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from ringfence import __version__
from ringfence.api.application import create_app
from ringfence.api.context import ChangeNote, ControlContext, WorkerStatus
from ringfence.app import approval
from ringfence.app.change import change_of
from ringfence.app.configuration import Prepared, prepare, register
from ringfence.app.readers import readers
from ringfence.app.secret import stored_secrets
from ringfence.app.storage import storage_of
from ringfence.app.stores import attest_others
from ringfence.app.tool import AtOnce
from ringfence.config.settings import Settings
from ringfence.config.variable import AnyValue
from ringfence.decisions.budget import MONEY
from ringfence.decisions.period import Line
from ringfence.domain.agent import AgentState
from ringfence.domain.approval import Approval
from ringfence.domain.budget import Unit
from ringfence.domain.credential import AgentCredential
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.error import UnavailableError
from ringfence.domain.model import UpstreamStanding
from ringfence.domain.organisation import Configuration
from ringfence.domain.sandbox import Sandbox, SandboxGrant, SandboxOrder
from ringfence.enforcement.approval import ApprovalDesk
from ringfence.enforcement.secret_desk import SecretDesk
from ringfence.enforcement.tool_custody import ToolCustody
from ringfence.stores.body import BodyReader
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger import LedgerReader, LedgerWriter
from ringfence.stores.ledger.attested import AttestedLog
from ringfence.stores.state.grant import Grant
from ringfence.stores.state.store import StateStore
from ringfence.telemetry.metric import Measured
from ringfence.transport.clock import SystemClock
from ringfence.transport.entropy import RandomIds

_READING = frozenset({"GET", "HEAD"})


async def _tell_nobody(what: str, held: Approval) -> None:
    """No call waits, and no webhook is open, while no plane is running."""
    del what, held


def _tools(installation: "_Installation", state: StateStore) -> ToolCustody:
    """What is accepted of tools; what is accepted now is written at once."""
    return ToolCustody(
        configuration=lambda: installation.configuration,
        sources=state.tools.all(),
        archive=AtOnce(state.tools),
        note=lambda *_: None,
    )


class _NoWorkers:
    """Nobody is running who would have to be told; a plane that starts reads the stores."""

    async def credentials_changed(self, credentials: Sequence[AgentCredential]) -> None:
        """Nothing to tell."""

    async def agent_state_changed(self, organisation: str, agent: str, state: AgentState) -> None:
        """Nothing to tell."""

    async def grant_added(self, grant: Grant) -> None:
        """Nothing to tell."""

    async def budgets(self, organisation: str, units: Container[Unit] = MONEY) -> Sequence[Line]:
        """No books are open."""
        del organisation, units
        return ()

    async def status(self) -> Sequence[WorkerStatus]:
        """No worker is running."""
        return ()

    async def carry_out(self, errand: Errand) -> ErrandOutcome:
        """Nobody is there who could."""
        del errand
        raise UnavailableError("plane_stopped", "the plane is not running")

    async def tool_grant_changed(self, organisation: str, server: str) -> None:
        """Nothing to tell."""

    async def upstreams(self, organisation: str) -> Sequence[UpstreamStanding]:
        """Nothing is called."""
        del organisation
        return ()

    async def metrics(self) -> Measured:
        """Nothing was counted."""
        return Measured()

    async def open_sandbox(self, order: SandboxOrder) -> SandboxGrant:
        """Nobody would serve it. Raises UnavailableError `plane_not_running`."""
        del order
        raise UnavailableError(
            "plane_not_running", "no plane is running", help="start it with `ringfence up`"
        )

    async def sandboxes(self, organisation: str) -> Sequence[Sandbox]:
        """None is running."""
        del organisation
        return ()

    async def end_sandbox(self, organisation: str, sandbox: str, message: str) -> bool:
        """None is running."""
        del organisation, sandbox, message
        return False


class _Installation:
    """What the command line changes and reads on disk while no plane is running."""

    def __init__(self, settings: Settings, prepared: Prepared, state: StateStore) -> None:
        self._storage = storage_of(settings)
        self._keys = SigningKeys(settings.data, settings.signing_key)
        self._prepared = prepared.configuration
        self._state = state
        self._is_registered = False
        self.clock = SystemClock()
        self.ids = RandomIds(self.clock)
        self.configuration = state.configurations.known(prepared.configuration)
        if not self._retires_agents():
            self.register()

    def _retires_agents(self) -> bool:
        """Whether registering the files would retire somebody: no reading may do that."""
        return any(
            record.state is not AgentState.RETIRED and record.name not in organisation.agents
            for organisation in self.configuration.organisations.values()
            if organisation.id
            for record in self._state.agents.list(organisation.id)
        )

    def register(self) -> None:
        """Take the files as they are now, as a plane would at its start."""
        if not self._is_registered:
            self.configuration = register(
                self._state,
                self._prepared,
                clock=self.clock,
                ids=self.ids,
                actor=f"cli:uid={os.geteuid()}",
            )
            self._is_registered = True

    async def reload(self, actor: str) -> Configuration:
        """Nothing is running that could take a new epoch."""
        del actor
        return self.configuration

    def vouch(self) -> None:
        """Sign all logs with the present key."""
        attest_others("", self._storage, self._keys, self.clock.now_us())

    async def record(self, note: ChangeNote) -> None:
        """Write one event, as the log's writer for a moment."""
        logs = self._storage.logs()
        with ExitStack() as undo:
            held = self._storage.take_log(logs, self.ids)
            undo.callback(held.release)
            writer = LedgerWriter(
                AttestedLog.open(held, self._storage.logs, self._keys, self.clock.now_us)
            )
            undo.pop_all()
        try:
            await writer.append(change_of(note, self.configuration, self.clock.now_us()))
        finally:
            await writer.close()


@asynccontextmanager
async def stopped_app(settings: Settings, environment: Mapping[str, str]) -> AsyncIterator[ASGIApp]:
    """The same application as a running plane's, on the stores alone.

    Only a request that changes something takes a configuration that retires agents.
    Raises RingfenceError if the configuration or a store cannot be used.
    """
    now_us = SystemClock().now_us()
    prepared = prepare(settings, AnyValue(environment), now_us)
    storage = storage_of(settings)
    state = storage.state()
    try:
        installation = _Installation(settings, prepared, state)
        app = create_app(
            ControlContext(
                state=state,
                workers=_NoWorkers(),
                configuration=lambda: installation.configuration,
                reload=installation.reload,
                proposed=lambda: installation.configuration,
                record=installation.record,
                open_ledger=lambda: LedgerReader(storage.logs()),
                open_bodies=lambda: BodyReader(storage.shelves()),
                open_shelves=storage.shelves,
                holds=storage.holds,
                readers=readers(),
                approvals=ApprovalDesk(
                    state.approvals,
                    clock=installation.clock,
                    ids=installation.ids,
                    approvers=approval.Approvers(lambda: installation.configuration),
                    tell=_tell_nobody,
                ),
                tools=_tools(installation, state),
                secrets=SecretDesk(
                    stored_secrets(settings.data, environment, state, installation.clock)
                ),
                keys=SigningKeys(settings.data, settings.signing_key),
                vouch=installation.vouch,
                clock=installation.clock,
                ids=installation.ids,
                version=__version__,
                started_us=now_us,
                is_serving=False,
            )
        )

        async def registering(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["method"] not in _READING:
                installation.register()
            await app(scope, receive, send)

        yield registering
    finally:
        state.close()
