"""The one worker of a plane that has no other, in the plane's own process."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Container, Sequence
from functools import partial
from pathlib import Path
from typing import final

from ringfence.api.context import WorkerStatus
from ringfence.app.data_port import DataPort
from ringfence.app.group import Beginning, Epoch, Place
from ringfence.app.health import totals
from ringfence.app.sandboxing import run_socket
from ringfence.app.stores import Stores
from ringfence.app.surroundings import Surroundings
from ringfence.app.worker import Worker
from ringfence.decisions.budget import MONEY
from ringfence.decisions.period import Line
from ringfence.domain.agent import AgentState
from ringfence.domain.budget import Unit
from ringfence.domain.credential import AgentCredential
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.error import UnavailableError
from ringfence.domain.model import UpstreamStanding
from ringfence.domain.sandbox import Sandbox, SandboxGrant, SandboxOrder
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.refused_token import TokenRefused
from ringfence.enforcement.sandbox_recovery import LostSandboxes
from ringfence.enforcement.tool_custody import ToolCustody
from ringfence.enforcement.watch import Noticed
from ringfence.stores.secret import Secrets
from ringfence.stores.state.grant import Grant
from ringfence.telemetry.metric import Measured
from ringfence.transport.client import Pool
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids
from ringfence.transport.tls import client_context

_CATCH_UP_S = 1.0


@final
class Embedded:
    """A `Group` of one: it shares the plane's loop, ledger and bodies, and holds everything."""

    def __init__(
        self, stores: Stores, clock: Clock, ids: Ids, readiness: Callable[[], str], folder: Path
    ) -> None:
        """Nothing is open yet. `readiness` is the plane's, `folder` where its data are."""
        self._run_socket = run_socket(folder, 1)
        self._stores = stores
        self._clock = clock
        self._ids = ids
        self._plane_readiness = readiness
        self._closing = contextlib.AsyncExitStack()
        self._port: DataPort | None = None

    tools: ToolCustody

    def install(self, beginning: Beginning) -> None:
        """Take what to begin with."""
        pool = Pool(tls=client_context())
        self._closing.push_async_callback(pool.close)
        ledger, epoch = self._stores.ledger, beginning.epoch
        self._worker = Worker(
            Surroundings(
                ledger=ledger,
                masking=self._stores.masking,
                ledger_totals=partial(totals, ledger),
                client=pool,
                secrets=epoch.secrets,
                clock=self._clock,
                ids=self._ids,
                readiness=self._plane_readiness,
                users=beginning.users,
                approvals=beginning.approvals,
                granted=beginning.granted,
                environment=os.environ,
                allowance=beginning.allowance,
                sandbox_socket=self._run_socket,
            ),
            beginning.recovered,
        )
        self.tools = ToolCustody(
            configuration=lambda: self._worker.directory.configuration,
            sources=beginning.tools,
            archive=beginning.tool_archive,
            note=FindingLog(
                ledger=ledger, directory=self._worker.directory, clock=self._clock
            ).changed,
        )
        self._worker.watch.tell = partial(_notice, beginning.token_refused)
        registry = self._worker.tools
        self.tools.on_known = registry.take
        registry.on_seen = self.tools.seen
        for source in beginning.tools:
            registry.take(source)
        self._closing.push_async_callback(self._worker.tooling.door.close)
        self._prepare_bodies(epoch)
        self._worker.install(
            epoch.configuration, epoch.states, beginning.credentials, beginning.grants
        )
        lost = LostSandboxes(self._worker.observations, self._worker.invocations, self._clock)
        lost.end()

    async def listen(self, place: Place) -> int:
        """Let agents in; gives the port."""
        await self._worker.sandboxing.listen()
        self._closing.push_async_callback(self._worker.sandboxing.stop)
        self._port = DataPort(self._worker.data_plane.handle)
        port = await self._port.listen(place)
        self._worker.egress.ports |= {port, place.console_port}
        return port

    async def configuration_changed(self, epoch: Epoch) -> None:
        """Take a new epoch."""
        await asyncio.to_thread(self._prepare_bodies, epoch)
        self._worker.replace_secrets(epoch.secrets)
        await self._worker.configuration_changed(epoch.configuration, epoch.states)

    def secrets_changed(self, secrets: Secrets) -> Awaitable[None]:
        """Use these secrets from now on."""
        self._worker.replace_secrets(secrets)
        return asyncio.sleep(0)

    def _prepare_bodies(self, epoch: Epoch) -> None:
        """Let no call wait for the disk only because it is its organisation's first."""
        organisations = epoch.configuration.organisations.values()
        self._stores.bodies.prepare(organisation.id for organisation in organisations)

    async def drain(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Let running answers end."""
        await self._worker.sandboxing.stop()
        if self._port is not None:
            self._worker.data_plane.shut()
            await self._port.drain(grace_s, hurry, is_answering=True)
            self._worker.refusals.flush(everything=True)
            self._worker.observations.flush(everything=True)

    async def close(self) -> None:
        """Close the connections to providers."""
        await self._closing.aclose()

    async def catch_up(self) -> None:
        """Events are written in groups; whoever asks waits for the group that is under way."""
        with contextlib.suppress(UnavailableError, TimeoutError):
            await asyncio.wait_for(self._stores.ledger.settle(), _CATCH_UP_S)

    async def tidy(self) -> None:
        """End and drop what is over."""
        if self._port is not None:
            self._worker.connections = self._port.connections
        self._worker.tidy()

    def flush_bodies(self) -> None:
        """Bodies are written a moment after their events; whoever reads waits for that moment."""
        self._stores.bodies.flush(_CATCH_UP_S)

    def readiness(self) -> str:
        """The plane knows all there is to know."""
        return ""

    # `Workers`

    async def credentials_changed(self, credentials: Sequence[AgentCredential]) -> None:
        """Take these credentials as new, or as replacing those with the same id."""
        await self._worker.credentials_changed(credentials)

    async def agent_state_changed(self, organisation: str, agent: str, state: AgentState) -> None:
        """Admit, or refuse and stop, this agent from now on."""
        await self._worker.agent_state_changed(organisation, agent, state)

    async def grant_added(self, grant: Grant) -> None:
        """Raise the limit of one account in one window."""
        await self._worker.grant_added(grant)

    async def budgets(self, organisation: str, units: Container[Unit] = MONEY) -> Sequence[Line]:
        """The books of every account of an organisation that was used in its present window."""
        return await self._worker.budgets(organisation, units)

    async def status(self) -> Sequence[WorkerStatus]:
        """How this worker is."""
        if self._port is not None:
            self._worker.connections = self._port.connections
        return await self._worker.status()

    async def carry_out(self, errand: Errand) -> ErrandOutcome:
        """Make a call that a person asks for."""
        return await self._worker.carry_out(errand)

    async def tool_grant_changed(self, organisation: str, server: str) -> None:
        """Use no token any more that was got with an earlier grant."""
        await self._worker.tool_grant_changed(organisation, server)

    async def upstreams(self, organisation: str) -> Sequence[UpstreamStanding]:
        """How its upstreams stand."""
        return await self._worker.upstreams(organisation)

    async def metrics(self) -> Measured:
        """What this worker has counted."""
        return await self._worker.metrics()

    async def open_sandbox(self, order: SandboxOrder) -> SandboxGrant:
        """Make a sandbox."""
        return await self._worker.open_sandbox(order)

    async def sandboxes(self, organisation: str) -> Sequence[Sandbox]:
        """Every sandbox of an organisation that has not ended."""
        return await self._worker.sandboxes(organisation)

    async def end_sandbox(self, organisation: str, sandbox: str, message: str) -> bool:
        """End a sandbox, and return when that is recorded."""
        return await self._worker.end_sandbox(organisation, sandbox, message)


def _notice(token_refused: Callable[[str], None], noticed: Noticed) -> None:
    """There are no other workers who must know."""
    if isinstance(noticed, TokenRefused):
        token_refused(noticed.key)
