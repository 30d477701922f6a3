"""What stands in line to be written, and who comes first.

Those who wait for an event hold back a call, so they go first. Of the rest, outcomes can wait the
longest: nobody reads one before it is asked for. A few always go along, many get a group of their
own, so that none waits for ever.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, final

from ringfence.domain.event import AnyEvent, Outcome
from ringfence.stores.body import Body
from ringfence.stores.ledger.segment import GROUP

Item = tuple[AnyEvent, Body | None]

_BACKLOG: Final = 10_000
"""How many events wait while the log cannot be written; outcomes do, however many they are."""

_OUTCOMES_ALONG: Final = 16
"""Outcomes that go along with those who wait: 0.1 ms of work, and no commit of their own."""

_OUTCOMES_ALONE: Final = 32
"""From so many on, outcomes do not linger for company."""


class Waiting(NamedTuple):
    """An event that somebody waits for.

    Without one, everything that stood in line before it is waited for: so many records and so many
    outcomes, counted from the first.
    """

    event: AnyEvent | None
    body: Body | None
    done: asyncio.Future[None]
    records: int = 0
    outcomes: int = 0
    is_open: bool = False
    """Whether a journal will do, while the log cannot be written."""


class Group(NamedTuple):
    """What is written together: first what nobody waits for, since it came first.

    `kept` is what a journal has: it goes alone, since outcomes come in a later group than intents.
    """

    items: list[Item]
    waiting: list[Waiting]
    kept: Sequence[Item] = ()

    def all(self) -> list[Item]:
        """Every event with its body, in the order to be written."""
        awaited = [(one.event, one.body) for one in self.waiting if one.event is not None]
        return [*self.kept, *self.items, *awaited]


@final
class Line:
    """Filled by the event loop, emptied by the writer's thread; each end has one user."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._kept: deque[Item] = deque()
        self._waiting: deque[Waiting] = deque()
        self._records: deque[Item] = deque()
        self._outcomes: deque[Item] = deque()
        self._records_added = self._outcomes_added = 0
        self._records_written = self._outcomes_written = 0

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self._kept or self._waiting or self._records or self._outcomes)

    def is_patient(self) -> bool:
        """Whether something is there that may linger for company."""
        return bool(self._records or self._outcomes)

    def is_pressing(self) -> bool:
        """Whether lingering for company would gain nothing."""
        return bool(self._waiting or self._kept) or len(self._outcomes) >= _OUTCOMES_ALONE

    def wait(
        self,
        event: AnyEvent | None,
        body: Body | None,
        done: asyncio.Future[None],
        *,
        is_open: bool = False,
    ) -> None:
        """Stand in line for an event, or for everything so far."""
        added = self._records_added, self._outcomes_added
        self._waiting.append(Waiting(event, body, done, *added, is_open))

    def keep(self, event: AnyEvent, body: Body | None) -> None:
        """Put in front of everybody what a journal has."""
        self._kept.append((event, body))

    def add(self, event: AnyEvent, body: Body | None) -> bool:
        """Put in an event that nobody waits for; false if there is no room for it."""
        if type(event) is Outcome:
            self._outcomes_added += 1
            self._outcomes.append((event, body))
            return True
        if len(self._records) >= _BACKLOG:
            return False
        self._records_added += 1
        self._records.append((event, body))
        return True

    def outcomes(self) -> list[AnyEvent]:
        """The outcomes that stand in line."""
        return [event for event, _ in self._outcomes]

    def take(self) -> Group:
        """The next group, at most `GROUP` events."""
        if self._kept:
            return Group([], [], _pop(self._kept, GROUP))
        half = GROUP // 2
        room = GROUP
        if self._waiting:
            room = half if len(self._outcomes) >= GROUP else _OUTCOMES_ALONG
        items = _pop(self._outcomes, room)
        items += _pop(self._records, half if self._waiting else GROUP - len(items))
        waiting: list[Waiting] = []
        while self._waiting and len(items) + len(waiting) < GROUP:
            if self._waiting[0].event is None:
                break
            waiting.append(self._waiting.popleft())
        return Group(items, waiting)

    def count_written(self, group: Group) -> None:
        """A group is durable."""
        outcomes = len([event for event, _ in group.items if type(event) is Outcome])
        self._outcomes_written += outcomes
        self._records_written += len(group.items) - outcomes

    def put_back(self, group: Group) -> None:
        """A group was not written; who waited for it is not put back."""
        self._kept.extendleft(reversed(group.kept))
        for item in reversed(group.items):
            (self._outcomes if isinstance(item[0], Outcome) else self._records).appendleft(item)

    def take_flushed(self) -> list[Waiting]:
        """Those at the front who wait for what is written by now."""
        flushed: list[Waiting] = []
        while self.is_flushed():
            flushed.append(self._waiting.popleft())
        return flushed

    def is_flushed(self) -> bool:
        """Whether the first in line waits for what is written by now."""
        first = self._waiting[0] if self._waiting else None
        return (
            first is not None
            and not self._kept
            and first.event is None
            and first.records <= self._records_written
            and first.outcomes <= self._outcomes_written
        )

    def take_waiting(self) -> Sequence[Waiting]:
        """All who wait, to be refused."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def clear(self) -> list[AnyEvent]:
        """Give up what nobody waits for."""
        lost = [event for event, _ in (*self._kept, *self._records, *self._outcomes)]
        self._kept.clear()
        self._records.clear()
        self._outcomes.clear()
        return lost


def _pop(items: deque[Item], most: int) -> list[Item]:
    return [items.popleft() for _ in range(min(len(items), most))]
