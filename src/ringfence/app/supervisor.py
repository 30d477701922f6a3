"""The workers of a plane as processes: started, told of every change, watched, started again."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Container, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Final, final

from ringfence.api.context import WorkerStatus
from ringfence.app.belief import Belief
from ringfence.app.change_message import (
    Change,
)
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
    Started,
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
from ringfence.decisions.budget import MONEY
from ringfence.decisions.period import Line
from ringfence.domain.agent import AgentState
from ringfence.domain.budget import Unit
from ringfence.domain.credential import AgentCredential
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.lease import Holder
from ringfence.domain.model import UpstreamStanding
from ringfence.domain.sandbox import Sandbox, SandboxGrant, SandboxOrder
from ringfence.enforcement.authority import RENEW_S
from ringfence.enforcement.tool_custody import ToolCustody
from ringfence.enforcement.watch import joined
from ringfence.stores.secret import Secrets
from ringfence.stores.state.grant import Grant
from ringfence.telemetry.metric import Measured, join
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids, hash_seed

_LOG = logging.getLogger(__name__)

_ANSWER_S: Final = 2.0
"""How long a worker is waited for that is only asked how it is."""
_START_S: Final = 60.0
_RECOVER_EVERY_S: Final = 0.5
_DRAIN_MARGIN_S: Final = 15.0
"""What ending takes beyond the grace: cutting what is left, writing the last events."""


@final
class Supervisor:
    """A `Group` of worker processes; implements `remote_worker.Asked`.

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
        # What conversations hash to is compared between workers.
        self._environment = {**environment, "PYTHONHASHSEED": seed or hash_seed()}
        self._slots = [Slot(number=at) for at in range(1, count + 1)]
        self._lives = itertools.count(1)
        self._ids = ids
        self._shared: Shared | None = None
        self._sharing: Sharing | None = None
        self._belief: Belief | None = None
        self._place: Place | None = None
        self._installed = asyncio.Event()
        self._is_ending = False
        self._closing = contextlib.AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._first: list[asyncio.Future[None]] = []
        self._sandboxes = SandboxPlaces()

    def spawn(self) -> None:
        """Start every worker process; they import what they need while the plane gets ready."""
        for slot in self._slots:
            served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._first.append(served)
            self._tasks.append(asyncio.create_task(self._keep(slot, served)))
        self._tasks.append(asyncio.create_task(self._renew()))

    # `Group`

    @property
    def tools(self) -> ToolCustody:
        """What is accepted of tools."""
        return self._known().tools

    def install(self, beginning: Beginning) -> None:
        """Take what to begin with."""
        for slot, log in zip(self._slots, beginning.logs, strict=True):
            slot.log = log
        self._shared = self._open(beginning)
        self._belief = Belief(beginning, self._folder)
        self._logs = WorkerLogs(
            self._folder, beginning.database, beginning.signing_key, self._clock
        )

    def _open(self, beginning: Beginning) -> Shared:
        if beginning.sharing is None:
            return Shared(beginning, self._clock, self._ids, self._told_workers)
        self._sharing = beginning.sharing
        return SharedAcross(
            beginning, self._clock, self._ids, self._told_workers, beginning.sharing
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
        self._installed.set()
        try:
            async with asyncio.timeout(_START_S):
                await asyncio.gather(*self._first)
        except TimeoutError:
            raise UnavailableError(
                "worker_failed", "the workers have not started in time"
            ) from None
        return port

    async def configuration_changed(self, epoch: Epoch) -> None:
        """Take a new epoch on every live worker; a worker that cannot is ended."""
        await self._tell_all(self._believed().configured(epoch))

    def secrets_changed(self, secrets: Secrets) -> Awaitable[None]:
        """Send them in this turn; what this gives ends when every worker obeys."""
        return self._tell_all(self._believed().secrets_changed(secrets))

    async def drain(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Let every worker end in order, at the same time."""
        self._is_ending = True
        workers = [slot.worker for slot in self._slots if slot.worker is not None]

        async def hasten() -> None:
            await hurry.wait()
            for each in workers:
                each.hurry()

        hastening = asyncio.create_task(hasten())
        limit_s = grace_s + _DRAIN_MARGIN_S
        await asyncio.gather(*(each.drain(grace_s, limit_s) for each in workers))
        hastening.cancel()

    async def close(self) -> None:
        """End what is left of the workers."""
        self._is_ending = True
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.kill()
                await slot.worker.ended()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for first in self._first:
            first.cancel()
        await self._closing.aclose()

    async def catch_up(self) -> None:
        """Return when what workers have recorded so far can be read, or after a moment."""
        await self._ask_all(lambda: CatchUp(with_bodies=False))

    def flush_bodies(self) -> None:
        """The same for bodies; blocks, and is called from a thread."""
        asking = self._ask_all(lambda: CatchUp(with_bodies=True))
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(asking, self._loop).result(2 * _ANSWER_S)

    async def tidy(self) -> None:
        """Give up who has been silent for too long."""
        now_us = self._clock.monotonic_us()
        for slot in self._slots:
            if slot.is_given_up(now_us) and slot.worker is not None:
                _LOG.error("worker %d does not answer and is ended", slot.number)
                slot.worker.kill()
        if self._shared is not None:
            await self._shared.tidy()

    def readiness(self) -> str:
        """Empty if every worker can do its work, else which cannot and why."""
        if self._sharing is not None and (why := self._sharing.readiness()):
            return why
        now_us = self._clock.monotonic_us()
        return next((why for slot in self._slots if (why := slot.trouble(now_us))), "")

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
        for worker in self._told_workers():
            worker.renew(self._believed().change, until_us)
            worker.trouble(trouble)

    async def budgets(self, organisation: str, units: Container[Unit] = MONEY) -> Sequence[Line]:
        """The books of every account of an organisation that was used in its present window."""
        return await self._known().standing(organisation, units)

    async def status(self) -> Sequence[WorkerStatus]:
        """How each worker is; who has ended for good is not told of."""
        now_us = self._clock.monotonic_us()
        there = [slot for slot in self._slots if slot.worker is not None or not self._is_ending]
        return [slot.status(now_us) for slot in there]

    async def upstreams(self, organisation: str) -> Sequence[UpstreamStanding]:
        """How its upstreams stand with all workers together."""
        answers = await self._ask_all(lambda: Watched(organisation=organisation))
        parts = [each.upstreams for each in answers if isinstance(each, Standings)]
        return joined([*parts, self._known().queueing.standing(organisation)])

    async def tool_grant_changed(self, organisation: str, server: str) -> None:
        """Use no token any more that was got with an earlier grant."""
        for worker in self._told_workers():
            worker.tell(ToolGrantChanged(organisation=organisation, server=server))

    async def carry_out(self, errand: Errand) -> ErrandOutcome:
        """Make a call that a person asks for, at the first worker that serves."""
        worker = next((each for each in self._told_workers() if each.is_serving), None)
        if worker is None:
            raise UnavailableError("worker_starting", "no worker serves yet")
        answer = await worker.ask(CarryOut(errand))
        if not isinstance(answer, Carried):
            raise unexpected(answer)
        return answer.outcome

    async def metrics(self) -> Measured:
        """What all workers have counted, and what they were lent."""
        answers = await self._ask_all(Measure)
        counted = join(each.measured for each in answers if isinstance(each, Measurement))
        if self._shared is not None:
            counted.totals |= self._shared.lending.totals()
        return counted

    async def open_sandbox(self, order: SandboxOrder) -> SandboxGrant:
        """Have the worker that serves the fewest sandboxes make one."""
        worker = self._sandboxes.emptiest(self._told_workers())
        with self._sandboxes.coming(worker):
            answer = await worker.ask(OpenSandbox(order))
        if not isinstance(answer, OpenedSandbox):
            raise unexpected(answer)
        self._sandboxes.put(answer.grant, worker, self._known().registry.is_open)
        return answer.grant

    async def sandboxes(self, organisation: str) -> Sequence[Sandbox]:
        """Every sandbox of an organisation that has not ended, of all workers."""
        answers = await self._ask_all(lambda: ListSandboxes(organisation))
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

    def _lost(self, worker: RemoteWorker) -> None:
        """A worker has ended, and its sandboxes with it: the record is to say so."""
        gone = self._sandboxes.lost(worker)
        if gone:
            self._known().lost_sandboxes.end(gone)

    # What a worker asks

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

    def _told_workers(self) -> list[RemoteWorker]:
        """The workers that are told of every change."""
        workers = [slot.worker for slot in self._slots]
        return [each for each in workers if each is not None and each.is_told]

    # Within

    def _believed(self) -> Belief:
        if self._belief is None:
            raise UnavailableError("worker_starting", "the plane has not begun yet")
        return self._belief

    def _tell_all(self, change: Change) -> Awaitable[None]:
        """Send in this turn; what this gives ends when nobody can act on what was before."""
        self._known().take(change)
        sent = [(worker, worker.ask(change)) for worker in self._told_workers()]
        return _all([worker.obey(answer) for worker, answer in sent])

    async def _ask_all(self, make: Callable[[], Message]) -> list[Message]:
        """The answers of those who answer soon."""
        asked = [
            slot.worker.ask(make())
            for slot in self._slots
            if slot.worker is not None and slot.worker.is_serving
        ]
        if not asked:
            return []
        done, late = await asyncio.wait(asked, timeout=_ANSWER_S)
        for each in late:
            each.cancel()
        return [each.result() for each in done if each.exception() is None]

    async def _renew(self) -> None:
        while True:
            self.renew()
            await asyncio.sleep(RENEW_S)

    async def _keep(self, slot: Slot, first: asyncio.Future[None]) -> None:
        """Fill a slot for as long as the plane runs."""
        while not self._is_ending:
            life = next(self._lives)
            worker = slot.worker = RemoteWorker(slot.number, self._clock, self, life)
            error: RingfenceError | None = None
            try:
                await worker.spawn(self._environment)
                await self._begin(slot, worker)
                if not first.done():
                    first.set_result(None)
            except RingfenceError as caught:
                error = caught
                worker.kill()
            except Exception as caught:  # noqa: BLE001 (a place must not stay empty for ever)
                _LOG.exception("worker %d could not be started", slot.number)
                error = UnavailableError("worker_failed", f"a worker cannot be started: {caught}")
                worker.kill()
            code = await worker.ended()
            self._name(slot, worker)  # also one that ended before it had begun
            if self._shared is not None:
                self._lost(worker)
                self._shared.died(worker)
            pause_s = slot.ended(self._clock.monotonic_us(), in_order=code == 0 and error is None)
            if error is not None and not first.done():
                first.set_exception(error)
                return
            _tell_of_end(slot, code, error, pause_s)
            await self._bury(slot, worker)
            await asyncio.sleep(pause_s)

    async def _begin(self, slot: Slot, worker: RemoteWorker) -> None:
        await self._installed.wait()
        assert self._place is not None  # noqa: S101 (set before `_installed`)
        if slot.charged is None:
            slot.charged = await asyncio.to_thread(self._logs.charged, slot.log)
        self._name(slot, worker)
        # From here to the ask, one turn: what changes later is told after this.
        start = self._believed().start(
            worker=slot.number,
            workers=len(self._slots),
            log=slot.log,
            place=self._place,
            learned=self._known().learning.all(),
            opened=self._known().begin(worker),
            tools=self._known().tools.all(),
        )
        answer = worker.ask(start)
        worker.is_told = True
        started = await answer
        if not isinstance(started, Started):
            raise unexpected(started)
        slot.since_us = self._clock.monotonic_us()
        worker.is_serving = True
        self.renew()
        _LOG.info("worker %d serves", slot.number, extra={"worker_pid": worker.pid})

    def _name(self, slot: Slot, worker: RemoteWorker) -> None:
        """Where planes share limits, who holds a part of one is known by the log that it writes."""
        if self._sharing is not None:
            worker.holder = Holder(slot.log)

    async def _bury(self, slot: Slot, worker: RemoteWorker) -> None:
        """Give every intent of a dead worker its outcome, exactly once, before its log goes on.

        Then what it was lent is free again, except for what its log proves that it spent.
        """
        while not self._is_ending:
            try:
                unknown, after = await asyncio.to_thread(self._logs.recover, slot.log)
                await self._known().prove(worker, slot.charged or {}, after)
            except RingfenceError as error:
                _LOG.error("the log of worker %d cannot be recovered yet: %s", slot.number, error)
                await asyncio.sleep(_RECOVER_EVERY_S)
                continue
            slot.charged = after
            for action in unknown:
                _LOG.warning("an action has no known outcome", extra={"act": action})
            return


async def _all(obeying: Sequence[Coroutine[None, None, None]]) -> None:
    await asyncio.gather(*obeying)


def _tell_of_end(slot: Slot, code: int, error: RingfenceError | None, pause_s: float) -> None:
    """Say in the log how a worker has ended, and that another will come."""
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    why = f": {error}" if error is not None else ""
    level = logging.INFO if code == 0 and error is None else logging.ERROR
    _LOG.log(
        level,
        "worker %d %s%s",
        slot.number,
        how,
        why,
        extra={"failures": slot.failures, "restart_s": pause_s},
    )
