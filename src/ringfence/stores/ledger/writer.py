"""Write the events of one log, durably and in groups, without holding up the event loop.

The loop does all that needs the interpreter: it numbers and encodes what stands in line at the end
of its turn. A thread commits the finished bytes. What arrives meanwhile is the next group. An
intent goes out at once. Others wait for company, `_LINGER_S` at most, since nobody waits for them.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Self, final

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.event import AnyEvent, Intent, Outcome
from ringfence.stores.body import Body, BodyStore
from ringfence.stores.ledger.backend import Backend, TakenOverError
from ringfence.stores.ledger.committer import Committer
from ringfence.stores.ledger.draft import Draft, Drafter
from ringfence.stores.ledger.durable import Durable
from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.gathering import Gathering
from ringfence.stores.ledger.journal import Journal
from ringfence.stores.ledger.journaling import Journaling
from ringfence.stores.ledger.line import Group, Line, Waiting
from ringfence.stores.ledger.masking import Masking
from ringfence.stores.ledger.sqlite import SqliteLog

_LINGER_S: Final = 0.02
_CLOCK_S: Final = 0.002
"""Timers come early by as much as the clock of a loop is coarse."""
_FIRST_PAUSE_S: Final = 0.05
_LAST_PAUSE_S: Final = 1.0
_LAST_TRIES: Final = 3
"""How often a failing log is tried again while closing."""

_MOST_UNWRITTEN: Final = 4
"""From so many projections on, one is written though somebody waits."""


@final
class LedgerWriter:
    """The one writer of one log, for the event loop of one process.

    `failure` tells why the log cannot be written, None while it can. Meanwhile intents are refused
    at once, other events wait (up to a bound; outcomes always), and it is tried again and again.
    `lost` counts events that could not be kept; `groups` and `events` what was committed.
    INVARIANT: only the loop's thread touches anything in here; the other thread runs `Backend`.
    """

    def __init__(
        self,
        backend: Backend,
        bodies: BodyStore | None = None,
        masking: Masking | None = None,
        journal: Journal | None = None,
    ) -> None:
        """Write to an opened log, which is closed with the writer. INVARIANT: called after fork."""
        self._masking = masking
        self._journaling = Journaling(journal) if journal is not None else None
        self.failure: RingfenceError | None = None
        self.lost = 0
        self.groups = 0
        self.events = 0
        self.committer = Committer("ledger")
        self._backend = backend
        self._next_sequence = backend.next_sequence
        self._drafter = Drafter(backend.log_id, backend.pending, bodies)
        self._line = Line()
        self._gathering = Gathering()
        self._settling: list[asyncio.Future[None]] = []
        self._listeners: list[Callable[[Sequence[AnyEvent]], None]] = []
        self._job_ended: Callable[[BaseException | None], None] | None = None
        """What is to be done with the result of the job that the thread was given."""
        self._is_turning = False
        self._is_lingering = False
        self._has_lingered = False
        self._lingering_since_s = 0.0
        self._is_closing = False
        self._is_taken_over = False
        self._pause_s = _FIRST_PAUSE_S

    @classmethod
    def open(cls, fence: Fence, *, bodies: BodyStore | None = None) -> Self:
        """Open the fenced log, making it if there is none.

        Raises as `stores.database.open_writable`. INVARIANT: called after fork.
        """
        return cls(SqliteLog.open(fence), bodies)

    def intend(
        self, intent: Intent, body: Body | None = None, *, is_open: bool = False
    ) -> asyncio.Future[None]:
        """Write an intent; the future ends when it is durable.

        With `is_open` a journal on this machine will do while the log cannot be written, if there
        is one. It fails with UnavailableError `store_unavailable`; the action must then not happen.
        """
        if self._masking is None:
            return self._wait_for(intent, body, is_open=is_open)
        return self._masked(intent, body, is_open=is_open)

    def append(self, event: AnyEvent, body: Body | None = None) -> asyncio.Future[None]:
        """Write any event and tell when it is durable, as `intend` does."""
        return self._masked(event, body)

    def record(self, event: AnyEvent, body: Body | None = None) -> None:
        """Write an event with the next group; never waits and never fails."""
        if self._masking is not None and self._masking.concerns(event, body):
            self._masking.start(event, body, self._record)
        else:
            self._record(event, body)

    def _record(self, event: AnyEvent, body: Body | None) -> None:
        if not self._line.is_patient():
            self._lingering_since_s = asyncio.get_running_loop().time()
        if self._is_closing or not self._line.add(event, body):
            self.lost += 1
        elif self.failure is not None:
            self._keep([event])
        elif self._job_ended is None and not (self._is_lingering or self._is_turning):
            self._linger(_LINGER_S)

    def listen(self, written: Callable[[Sequence[AnyEvent]], None]) -> None:
        """Tell from now on which events have become durable, before those are told who wait."""
        self._listeners.append(written)

    async def flush(self) -> None:
        """Return when all events so far are durable. Raises as `intend`."""
        if self._masking is not None:
            await self._masking.idle()
        await self._wait_for(None, None)

    async def settle(self) -> None:
        """Return when all events so far are durable and all that is derived from them written.

        Readers need not wait for it, it only saves them work. Raises as `flush`.
        """
        await self.flush()
        done = asyncio.get_running_loop().create_future()
        self._settling.append(done)
        self._turn_soon()
        await done

    async def close(self) -> None:
        """Write what is left, stop, and let others write the log.

        Raises UnavailableError `store_unavailable` if something was left that could not be written.
        """
        if self._masking is not None:
            await self._masking.idle()
            self._masking.close()
        self._is_closing = True
        tries_left = _LAST_TRIES
        while tries_left or self.failure is None:
            if self.failure is not None:
                tries_left -= 1
                self._probe()
            if self._job_ended is None and not self._next_job():
                break
            await self.committer.wait()
            self._take_result()
            if self.failure is not None:
                await asyncio.sleep(self._pause_s)
        await self.committer.stop()
        self._backend.close()
        journaling = self._journaling
        if journaling is not None:
            await journaling.close()
        left = self._line.clear()
        lost = sum(journaling is None or not journaling.keeps(event) for event in left)
        self.lost += lost
        if lost:
            raise _unavailable(self.failure)

    def _masked(
        self, event: AnyEvent, body: Body | None, *, is_open: bool = False
    ) -> asyncio.Future[None]:
        """Write an event that somebody waits for, once what must be masked is."""
        if self._masking is None or not self._masking.concerns(event, body):
            return self._wait_for(event, body, is_open=is_open)
        done = Durable(loop=asyncio.get_running_loop())

        def write(event: AnyEvent, body: Body | None) -> None:
            if not done.done():
                self._wait_for(event, body, done, is_open=is_open)

        self._masking.start(event, body, write)
        return done

    def _wait_for(
        self,
        event: AnyEvent | None,
        body: Body | None,
        done: asyncio.Future[None] | None = None,
        *,
        is_open: bool = False,
    ) -> asyncio.Future[None]:
        done = done or Durable(loop=asyncio.get_running_loop())
        is_open = is_open and self._journaling is not None and not self._is_taken_over
        if self._is_closing or (self.failure is not None and not is_open):
            done.set_exception(_unavailable(self.failure))
        elif self.failure is not None and event is not None:
            self._set_aside(event, body, done)
        else:
            self._line.wait(event, body, done, is_open=is_open)
            if self._job_ended is None:
                self._turn_soon()
        return done

    def _set_aside(self, event: AnyEvent, body: Body | None, done: asyncio.Future[None]) -> None:
        """Let an intent be durable in the journal, and stand first in line for the log."""
        if self._journaling is None:
            raise TypeError("there is no journal")

        def kept(error: BaseException | None) -> None:
            if error is None:
                self._line.keep(event, body)
                if self.failure is None and self._job_ended is None:
                    self._turn_soon()
            _end_all([done], error)

        self._journaling.put(event, self._next_sequence, kept)

    def _keep(self, events: Sequence[AnyEvent]) -> None:
        """Let outcomes stand in the journal too, so that a crash meanwhile does not lose them."""
        journaling = self._journaling
        if journaling is None:
            return
        for event in events:
            if isinstance(event, Outcome):
                journaling.put(event, self._next_sequence, partial(self._kept_outcome, event))

    def _kept_outcome(self, event: Outcome, error: BaseException | None) -> None:
        """An outcome in the journal is as durable as one in the log."""
        for listener in self._listeners if error is None else ():
            listener([event])

    def _turn_soon(self) -> None:
        """What one turn of the loop brings is one group: look at it when the turn is over."""
        if not self._is_turning:
            self._is_turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_turning = False
        self._next_job()
        self._gathering.apply()  # after the thread has its work and those who waited have theirs

    def _linger(self, seconds: float) -> None:
        self._is_lingering = True
        asyncio.get_running_loop().call_later(seconds, self._lingered)

    def _lingered(self) -> None:
        """Write what has waited for long enough: what came since may yet go with an intent."""
        self._is_lingering = False
        waited_s = asyncio.get_running_loop().time() - self._lingering_since_s
        if not self._line.is_patient():
            return
        if waited_s < _LINGER_S - _CLOCK_S:
            self._linger(_LINGER_S - waited_s)
            return
        self._has_lingered = True
        self._turn()

    def _start(
        self, job: Callable[[], None], ended: Callable[[BaseException | None], None]
    ) -> None:
        self._job_ended = ended
        self.committer.start(job, self._take_result)

    def _take_result(self) -> None:
        """The thread is free again; nothing happens if that is known already."""
        ended = self._job_ended
        if ended is not None and not self.committer.is_running:
            self._job_ended = None
            ended(self.committer.result())
            self._turn_soon()

    def _next_job(self) -> bool:
        """Give the thread what is due next, if it is free; whether it has something to do."""
        if self._job_ended is not None or self.failure is not None:
            return self._job_ended is not None
        line = self._line
        _end(line.take_flushed(), None)
        if self._is_time_to_derive():
            self._start(partial(self._backend.derive, self._gathering.next()), self._derived)
            return True
        while line.is_pressing() or (
            (self._has_lingered or self._is_closing) and not line.is_empty()
        ):
            self._has_lingered = False
            group = line.take()
            draft = self._drafter.draft(group.all(), self._next_sequence)
            ended = partial(self._committed, group, draft)
            if draft.events:
                self._start(partial(self._backend.commit, draft.batch), ended)
                return True
            ended(None)
        if not line.is_empty() and not self._is_lingering:
            self._linger(_LINGER_S)
        return False

    def _is_time_to_derive(self) -> bool:
        gathering, line = self._gathering, self._line
        if self._settling or (self._is_closing and line.is_empty()):
            gathering.close()
            if not gathering.waiting:
                _end_all(self._settling, None)
                self._settling.clear()
        is_pressing = line.is_pressing() and not self._settling
        return gathering.waiting > (_MOST_UNWRITTEN if is_pressing else 0)

    def _committed(self, group: Group, draft: Draft, error: BaseException | None) -> None:
        if error is not None:
            self._drafter.undo(draft)
            self._line.put_back(group)
            self._fail(error, group.waiting)
            return
        if draft.events:
            self.groups += 1
            self.events += len(draft.events)
            self._next_sequence += len(draft.events)
        self._line.count_written(group)
        for listener in self._listeners:
            listener(draft.events)
        self._answer(group.waiting, draft)
        _end(self._line.take_flushed(), None)
        self._drafter.keep(draft)
        self._gathering.add(draft)
        journaling = self._journaling
        if journaling is not None and journaling.is_idle and self._line.is_empty():
            journaling.clear()

    def _derived(self, error: BaseException | None) -> None:
        if error is None:
            self._gathering.written()
        else:
            self._fail(error)

    def _probed(self, error: BaseException | None) -> None:
        if error is None:
            self.failure = None
            self._pause_s = _FIRST_PAUSE_S
        else:
            self._fail(error)

    def _probe(self) -> None:
        if self._job_ended is None and self.failure is not None:
            self._start(self._backend.probe, self._probed)

    def _fail(self, error: BaseException, waiting: Sequence[Waiting] = ()) -> None:
        """Refuse all who wait, and try again after a pause. The failure shows before they learn."""
        if self.failure is None:
            self._keep(self._line.outcomes())
        self.failure = _unavailable(error)
        self._is_taken_over = isinstance(error, TakenOverError)
        refused = [*waiting, *self._line.take_waiting()]
        may_go_on = not (self._is_closing or self._is_taken_over)
        for one in refused:
            if one.is_open and one.event is not None and may_go_on:
                self._set_aside(one.event, one.body, one.done)
        _end([one for one in refused if not (one.is_open and may_go_on)], error)
        _end_all(self._settling, error)
        self._settling.clear()
        if not self._is_closing:
            asyncio.get_running_loop().call_later(self._pause_s, self._probe)
        self._pause_s = min(self._pause_s * 2, _LAST_PAUSE_S)

    def _answer(self, waiting: list[Waiting], draft: Draft) -> None:
        """Tell who waits; an event that cannot be written and that nobody waits for is lost."""
        if not draft.refused:
            _end(waiting, None)
            return
        refused = {id(event): error for event, error in draft.refused}
        awaited = {id(one.event) for one in waiting}
        self.lost += len(refused.keys() - awaited)
        for one in waiting:
            _end([one], refused.get(id(one.event)))


def _end(waiting: Sequence[Waiting], error: BaseException | None) -> None:
    if waiting:
        _end_all([one.done for one in waiting], error)


def _end_all(futures: Sequence[asyncio.Future[None]], error: BaseException | None) -> None:
    for future in futures:
        if future.done():
            continue
        with suppress(RuntimeError):  # its loop is closed, nobody waits any more
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(_unavailable(error))


def _unavailable(cause: BaseException | None) -> UnavailableError:
    """An error of its own for each who waits."""
    if cause is None:
        return UnavailableError("store_unavailable", "the ledger is closed")
    message = f"the ledger cannot be written: {cause}"
    if isinstance(cause, UnavailableError):
        message = cause.message
    error = UnavailableError("store_unavailable", message)
    error.__cause__ = cause
    return error
