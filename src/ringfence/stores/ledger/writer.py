"""Write the events of one log, durably and in groups, in a thread of its own.

The thread commits as soon as it is free; what arrives meanwhile is the next group. An intent wakes
it at once. Other events wait for company, `_LINGER_S` at most, since nobody waits for them.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from typing import Final, Self, final

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.event import AnyEvent, Intent
from ringfence.stores.body import Body, BodyStore
from ringfence.stores.database import translated
from ringfence.stores.ledger.draft import Draft, Drafter
from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.line import Group, Line, Waiting
from ringfence.stores.ledger.log import open_log
from ringfence.stores.ledger.projection import catch_up
from ringfence.stores.ledger.schema import LEDGER
from ringfence.stores.ledger.segment import SegmentWriter

_LINGER_S: Final = 0.02
_PROJECT_EVERY: Final = 256
_FIRST_PAUSE_S: Final = 0.05
_LAST_PAUSE_S: Final = 1.0
_LAST_TRIES: Final = 3
"""How often a failing log is tried again while closing."""

_PROJECT_AT_LAST: Final = 4 * _PROJECT_EVERY
"""From so many events on, what is derived is written though somebody waits."""


@final
class LedgerWriter:
    """The one writer of one log, for the event loop of one process.

    `failure` tells why the log cannot be written, None while it can. Meanwhile intents are refused
    at once, other events wait (up to a bound; outcomes always), and the thread keeps trying.
    `lost` counts events that could not be kept; `groups` and `events` what was committed.
    """

    def __init__(
        self, fence: Fence, connection: sqlite3.Connection, bodies: BodyStore | None
    ) -> None:
        """Use `open`."""
        self.failure: RingfenceError | None = None
        self.lost = 0
        self.groups = 0
        self.events = 0
        self._fence = fence
        self._connection = connection
        self._segments = SegmentWriter(connection)
        self._projection = catch_up(connection)
        self._projection.commit(connection)
        pending = connection.execute("SELECT organisation, action FROM pending").fetchall()
        self._drafter = Drafter(fence.log_id, pending, bodies)
        self._line = Line()
        self._signal = threading.Lock()
        self._signal.acquire()
        self._is_idle = False
        self._is_waking = False
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    @classmethod
    def open(cls, fence: Fence, *, bodies: BodyStore | None = None) -> Self:
        """Open the fenced log, making it if there is none, and start its thread.

        Raises as `stores.database.open_writable`. INVARIANT: called after fork.
        """
        connection = open_log(fence)
        try:
            with translated(fence.path, LEDGER.noun):
                writer = cls(fence, connection, bodies)
        except BaseException:
            connection.close()
            raise
        writer._thread.start()
        return writer

    def intend(self, intent: Intent, body: Body | None = None) -> asyncio.Future[None]:
        """Write an intent; the future ends when it is durable.

        It fails with UnavailableError `store_unavailable`; the action must then not happen.
        """
        return self.append(intent, body)

    def append(self, event: AnyEvent, body: Body | None = None) -> asyncio.Future[None]:
        """Write any event and tell when it is durable, as `intend` does."""
        return self._wait_for(event, body)

    def record(self, event: AnyEvent, body: Body | None = None) -> None:
        """Write an event with the next group; never waits and never fails."""
        if self._is_closing or not self._line.add(event, body):
            self.lost += 1
        elif self._is_idle:
            self._wake()

    async def flush(self) -> None:
        """Return when all events so far are durable and all that is derived from them written.

        Raises UnavailableError `store_unavailable`.
        """
        await self._wait_for(None, None)

    async def close(self) -> None:
        """Write what is left, stop, and let others write the log.

        Raises UnavailableError `store_unavailable` if something was left that could not be written.
        """
        self._is_closing = True
        self._wake()
        await asyncio.to_thread(self._thread.join)
        lost = self._line.clear()
        self.lost += lost
        if lost:
            raise _unavailable(self.failure)

    def _wait_for(self, event: AnyEvent | None, body: Body | None) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        if self.failure is not None or self._is_closing:
            done.set_exception(_unavailable(self.failure))
        else:
            self._line.wait(event, body, done)
            if not self._is_waking:
                self._is_waking = True
                loop.call_soon(self._wake_after_turn)
        return done

    def _wake_after_turn(self) -> None:
        """What one turn of the loop brings is one group; until its end the loop is busy anyway."""
        self._is_waking = False
        self._wake()

    def _wake(self) -> None:
        try:
            self._signal.release()
        except RuntimeError:
            return  # awake already, or about to be

    # From here on: the thread.

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        last_tries = _LAST_TRIES
        line = self._line
        while not (self._is_closing and line.is_empty()):
            try:
                is_quiet = self._rest() if self.failure is None else self._convalesce(pause_s)
                self._work(is_quiet=is_quiet)
            except Exception as error:  # noqa: BLE001 (whatever it is: refuse, show it, try again)
                self._fail(error)
                pause_s = min(pause_s * 2, _LAST_PAUSE_S)
                last_tries -= self._is_closing
                if not last_tries:
                    break
            else:
                self.failure = None
                pause_s = _FIRST_PAUSE_S
        self._connection.close()
        self._fence.release()

    def _rest(self) -> bool:
        """Wait for something to do; for company, if nobody waits for what there is.

        Gives whether nothing came, so that there is time to write what is derived.
        """
        line = self._line
        if line.is_empty() and not self._projection.count:
            self._is_idle = True
            # Look again: what came in before the flag was seen did not wake us.
            if line.is_empty() and not self._is_closing:
                self._signal.acquire()
            self._is_idle = False
        if line.is_pressing() or self._is_closing:
            return self._is_closing
        return not self._signal.acquire(timeout=_LINGER_S)

    def _convalesce(self, pause_s: float) -> bool:
        """Wait, then raise unless a transaction that changes something gets through."""
        self._signal.acquire(timeout=pause_s)
        with translated(self._fence.path, LEDGER.noun):
            self._connection.execute("UPDATE log SET projected = projected")
        return True

    def _work(self, *, is_quiet: bool) -> None:
        group = self._line.take()
        if group.items or group.waiting:
            self._commit(group)
        if is_quiet or self._is_time_to_project():
            with translated(self._fence.path, LEDGER.noun):
                self._projection.commit(self._connection)
        _resolve(self._line.take_flushed(), None)

    def _is_time_to_project(self) -> bool:
        count, line = self._projection.count, self._line
        is_due = count >= _PROJECT_EVERY and not line.has_waiting()
        return is_due or count >= _PROJECT_AT_LAST or line.is_flushed()

    def _commit(self, group: Group) -> None:
        first = self._segments.next_sequence
        draft = self._drafter.draft(group.all(), first)
        try:
            with translated(self._fence.path, LEDGER.noun):
                if draft.leaves:
                    self._segments.append(draft.leaves, draft.low_us, draft.high_us)
        except BaseException as error:
            self._drafter.undo(draft)
            self._line.put_back(group)
            self._fail(error, group.waiting)
            raise
        self._line.count_written(group)
        self.groups += 1
        self.events += len(draft.events)
        self._answer(group.waiting, draft)
        self._drafter.keep(draft)
        for sequence, event in enumerate(draft.events, first):
            self._projection.apply(event, sequence, first)

    def _answer(self, waiting: list[Waiting], draft: Draft) -> None:
        """Tell who waits; an event that cannot be written and that nobody waits for is lost."""
        refused = {id(event): error for event, error in draft.refused}
        if refused:
            for one in waiting:
                if id(one.event) in refused:
                    _resolve([one], refused[id(one.event)])
            awaited = {id(one.event) for one in waiting}
            self.lost += len(refused.keys() - awaited)
        _resolve([one for one in waiting if id(one.event) not in refused], None)

    def _fail(self, error: BaseException, waiting: Sequence[Waiting] = ()) -> None:
        """Refuse all who wait. The failure shows before they learn of it."""
        self.failure = _unavailable(error)
        _resolve([*waiting, *self._line.take_waiting()], error)


def _resolve(waiting: Sequence[Waiting], error: BaseException | None) -> None:
    """End futures in their loop, waking it once."""
    if not waiting:
        return
    futures = [one.done for one in waiting]
    try:
        futures[0].get_loop().call_soon_threadsafe(_end, futures, error)
    except RuntimeError:
        return  # the loop is closed, nobody waits any more


def _end(futures: Sequence[asyncio.Future[None]], error: BaseException | None) -> None:
    for future in futures:
        if not future.done():
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
