"""The workers of a plane as processes: what all of them are told, and what they ask."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Container, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import final

from ringfence.api.context import WorkerStatus
from ringfence.app.belief import Belief
from ringfence.app.change_message import Change
from ringfence.app.data_port import reserve
from ringfence.app.group import Beginning, Epoch, Place
from ringfence.app.message import (
    Carried,
    CarryOut,
    CatchUp,
    Measure,
    Measurement,
    Message,
    Standings,
    Start,
    ToolGrantChanged,
    Watched,
)
from ringfence.app.remote_worker import RemoteWorker, unexpected
from ringfence.app.sandbox_message import (
    EndSandbox,
    ListSandboxes,
    OpenedSandbox,
    OpenSandbox,
    SandboxList,
    SandboxTaken,
)
from ringfence.app.sandbox_place import SandboxPlaces
from ringfence.app.shared import Shared
from ringfence.app.shared_across import SharedAcross
from ringfence.app.sharing import Sharing
from ringfence.app.slot import Slot
from ringfence.app.worker_log import WorkerLogs
from ringfence.app.worker_pool import ANSWER_S, WorkerPool
from ringfence.decisions.budget import MONEY
from ringfence.decisions.period import Line
from ringfence.domain.agent import AgentState
from ringfence.domain.budget import Unit
from ringfence.domain.credential import AgentCredential
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.error import UnavailableError
from ringfence.domain.model import UpstreamStanding
from ringfence.domain.sandbox import Sandbox, SandboxGrant, SandboxOrder
from ringfence.enforcement.authority import RENEW_S
from ringfence.enforcement.tool_custody import ToolCustody
from ringfence.enforcement.watch import joined
from ringfence.stores.ledger.charged import Totals
from ringfence.stores.secret import Secrets
from ringfence.stores.state.grant import Grant
from ringfence.telemetry.metric import Measured, join
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids, hash_seed


@final
class Supervisor:
    """A `Group` of worker processes; implements `worker_pool.Head`.

    INVARIANT: what the workers believe is kept here too, and changed in the same turn in which the
    change is sent, so that a worker started later begins with exactly what the others have.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (what a plane has, and what it shares with others)
        self,
        folder: Path,
        count: int,
        clock: Clock,
        ids: Ids,
        environment: Mapping[str, str],
        seed: str = "",
    ) -> None:
        """Nothing is started yet. Made inside the running loop.

        `seed` is how all planes of the database hash; empty if there can be no other.
        """
        self._loop = asyncio.get_running_loop()
        self._folder = folder
        self._clock = clock
        self._count = count
        # What conversations hash to is compared between workers.
        alike = {**environment, "PYTHONHASHSEED": seed or hash_seed()}
        self._pool = WorkerPool(count, clock, alike, self)
        self._ids = ids
        self._shared: Shared | None = None
        self._sharing: Sharing | None = None
        self._belief: Belief | None = None
        self._place: Place | None = None
        self._closing = contextlib.AsyncExitStack()
        self._sandboxes = SandboxPlaces()

    def spawn(self) -> None:
        """Start every worker process; they import what they need while the plane gets ready."""
        self._pool.spawn()
        self._closing.push_async_callback(_over, asyncio.create_task(self._renew()))

    # `Group`

    @property
    def tools(self) -> ToolCustody:
        """What is accepted of tools."""
        return self._known().tools

    def install(self, beginning: Beginning) -> None:
        """Take what to begin with."""
        self._shared = self._open(beginning)
        self._belief = Belief(beginning, self._folder)
        logs = WorkerLogs(self._folder, beginning.database, beginning.signing_key, self._clock)
        is_shared = beginning.sharing is not None
        self._pool.install(beginning.logs, logs, are_known_by_log=is_shared)

    def _open(self, beginning: Beginning) -> Shared:
        if beginning.sharing is None:
            return Shared(beginning, self._clock, self._ids, lambda: self._pool.told)
        self._sharing = beginning.sharing
        return SharedAcross(
            beginning, self._clock, self._ids, lambda: self._pool.told, beginning.sharing
        )

    async def share(self, across: Callable[["Supervisor", SharedAcross], Awaitable[None]]) -> None:
        """Have the plane take its place among others, if there can be any."""
        if isinstance(self._shared, SharedAcross):
            await across(self, self._shared)

    async def listen(self, place: Place) -> int:
        """Reserve the port, let every worker listen on it, and return when all do."""
        held = reserve(place)
        self._closing.callback(held.close)
        port: int = held.getsockname()[1]
        self._place = Place(
            host=place.host, port=port, tls_cert=place.tls_cert, tls_key=place.tls_key
        )
        await self._pool.serve()
        return port

    async def configuration_changed(self, epoch: Epoch) -> None:
        """Take a new epoch on every live worker; a worker that cannot is ended."""
        await self._tell_all(self._believed().configured(epoch))

    def secrets_changed(self, secrets: Secrets) -> Awaitable[None]:
        """Send them in this turn; what this gives ends when every worker obeys."""
        return self._tell_all(self._believed().secrets_changed(secrets))

    async def drain(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Let every worker end in order, at the same time."""
        await self._pool.drain(grace_s, hurry)

    async def close(self) -> None:
        """End what is left of the workers."""
        await self._pool.close()
        await self._closing.aclose()

    async def catch_up(self) -> None:
        """Return when what workers have recorded so far can be read, or after a moment."""
        await self._pool.ask(lambda: CatchUp(with_bodies=False))

    def flush_bodies(self) -> None:
        """The same for bodies; blocks, and is called from a thread."""
        asking = self._pool.ask(lambda: CatchUp(with_bodies=True))
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(asking, self._loop).result(2 * ANSWER_S)

    async def tidy(self) -> None:
        """Give up who has been silent for too long."""
        self._pool.end_silent()
        if self._shared is not None:
            await self._shared.tidy()

    def readiness(self) -> str:
        """Empty if every worker can do its work, else which cannot and why."""
        if self._sharing is not None and (why := self._sharing.readiness()):
            return why
        return self._pool.trouble()

    # `Workers`

    async def credentials_changed(self, credentials: Sequence[AgentCredential]) -> None:
        """Take these credentials as new, or as replacing those with the same id.

        Where planes share, all of them read them in the state store, this one too: in one order.
        """
        if self._sharing is not None:
            await self._sharing.settle()
        else:
            await self.send_credentials(credentials)

    async def agent_state_changed(self, organisation: str, agent: str, state: AgentState) -> None:
        """Admit, or refuse and stop, this agent from now on."""
        if self._sharing is not None:
            await self._sharing.settle()
        else:
            await self.send_state(organisation, agent, state)

    async def grant_added(self, grant: Grant) -> None:
        """Raise the limit of one account in one window."""
        if self._sharing is not None:
            await self._sharing.settle()
        else:
            self._known().grant(grant)

    def send_credentials(self, credentials: Sequence[AgentCredential]) -> Awaitable[None]:
        """Send them in this turn; what this gives ends when every worker obeys."""
        return self._tell_all(self._believed().credentials_changed(credentials))

    def send_state(self, organisation: str, agent: str, state: AgentState) -> Awaitable[None]:
        """Send it in this turn; what this gives ends when every worker obeys."""
        return self._tell_all(self._believed().state_changed(organisation, agent, state))

    def renew(self) -> None:
        """Give every worker authority, for as long as this plane has it."""
        sharing = self._sharing
        until_us = None if sharing is None else sharing.until_us
        trouble = "" if sharing is None else sharing.readiness()
        for worker in self._pool.told:
            worker.renew(self._believed().change, until_us)
            worker.trouble(trouble)

    async def budgets(self, organisation: str, units: Container[Unit] = MONEY) -> Sequence[Line]:
        """The books of every account of an organisation that was used in its present window."""
        return await self._known().standing(organisation, units)

    async def status(self) -> Sequence[WorkerStatus]:
        """How each worker is; who has ended for good is not told of."""
        return self._pool.status()

    async def upstreams(self, organisation: str) -> Sequence[UpstreamStanding]:
        """How its upstreams stand with all workers together."""
        answers = await self._pool.ask(lambda: Watched(organisation=organisation))
        parts = [each.upstreams for each in answers if isinstance(each, Standings)]
        return joined([*parts, self._known().queueing.standing(organisation)])

    async def tool_grant_changed(self, organisation: str, server: str) -> None:
        """Use no token any more that was got with an earlier grant."""
        for worker in self._pool.told:
            worker.tell(ToolGrantChanged(organisation=organisation, server=server))

    async def carry_out(self, errand: Errand) -> ErrandOutcome:
        """Make a call that a person asks for, at the first worker that serves."""
        worker = next((each for each in self._pool.told if each.is_serving), None)
        if worker is None:
            raise UnavailableError("worker_starting", "no worker serves yet")
        answer = await worker.ask(CarryOut(errand))
        if not isinstance(answer, Carried):
            raise unexpected(answer)
        return answer.outcome

    async def metrics(self) -> Measured:
        """What all workers have counted, and what they were lent."""
        answers = await self._pool.ask(Measure)
        counted = join(each.measured for each in answers if isinstance(each, Measurement))
        if self._shared is not None:
            counted.totals |= self._shared.lending.totals()
        return counted

    async def open_sandbox(self, order: SandboxOrder) -> SandboxGrant:
        """Have the worker that serves the fewest sandboxes make one."""
        worker = self._sandboxes.emptiest(self._pool.told)
        with self._sandboxes.coming(worker):
            answer = await worker.ask(OpenSandbox(order))
        if not isinstance(answer, OpenedSandbox):
            raise unexpected(answer)
        self._sandboxes.put(answer.grant, worker, self._known().registry.is_open)
        return answer.grant

    async def sandboxes(self, organisation: str) -> Sequence[Sandbox]:
        """Every sandbox of an organisation that has not ended, of all workers."""
        answers = await self._pool.ask(lambda: ListSandboxes(organisation))
        lists = [each.sandboxes for each in answers if isinstance(each, SandboxList)]
        return [each for some in lists for each in some]

    async def end_sandbox(self, organisation: str, sandbox: str, message: str) -> bool:
        """End a sandbox, and return when that is recorded."""
        worker = self._sandboxes.server_of(sandbox)
        if worker is None or not worker.is_serving:
            return False
        answer = await worker.ask(
            EndSandbox(organisation=organisation, sandbox=sandbox, message=message)
        )
        return isinstance(answer, SandboxTaken) and answer.is_taken

    # `worker_pool.Head`

    def start(self, slot: Slot, worker: RemoteWorker, /) -> Start:
        """Everything that it needs, as it is now."""
        assert self._place is not None  # noqa: S101 (set before workers may begin)
        return self._believed().start(
            worker=slot.number,
            workers=self._count,
            log=slot.log,
            place=self._place,
            learned=self._known().learning.all(),
            opened=self._known().begin(worker),
            tools=self._known().tools.all(),
        )

    def serves(self, worker: RemoteWorker, /) -> None:
        """Give it authority at once, and the others with it."""
        del worker
        self.renew()

    def died(self, worker: RemoteWorker, /) -> None:
        """Its sandboxes have ended with it: the record is to say so."""
        if self._shared is not None:
            gone = self._sandboxes.lost(worker)
            if gone:
                self._shared.lost_sandboxes.end(gone)
            self._shared.died(worker)

    async def prove(self, worker: RemoteWorker, before: Totals, after: Totals, /) -> None:
        """What it was lent is free again, except for what its log proves that it spent."""
        await self._known().prove(worker, before, after)

    def told(self, worker: RemoteWorker, message: Message, /) -> None:
        """What a worker has seen."""
        self._known().told(worker, message)

    def asked(self, worker: RemoteWorker, message: Message, /) -> Message | Awaitable[Message]:
        """What a worker does not know."""
        return self._known().asked(worker, message)

    def _known(self) -> Shared:
        if self._shared is None:
            raise UnavailableError("worker_starting", "the plane has not begun yet")
        return self._shared

    # Within

    def _believed(self) -> Belief:
        if self._belief is None:
            raise UnavailableError("worker_starting", "the plane has not begun yet")
        return self._belief

    def _tell_all(self, change: Change) -> Awaitable[None]:
        """Send in this turn; what this gives ends when nobody can act on what was before."""
        self._known().take(change)
        sent = [(worker, worker.ask(change)) for worker in self._pool.told]
        return _all([worker.obey(answer) for worker, answer in sent])

    async def _renew(self) -> None:
        while True:
            self.renew()
            await asyncio.sleep(RENEW_S)


async def _all(obeying: Sequence[Coroutine[None, None, None]]) -> None:
    await asyncio.gather(*obeying)


async def _over(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
