"""Counting what comes again and again, so that the record holds the first and a number."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar, final

from ringfence.transport.clock import Clock

REPEAT_WINDOW_US = 20_000_000
"""What has the same cause within this time of the last is a repeat."""
_MINUTE_US = 60_000_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class Counted(Generic[V]):
    """Something that is on the record once, and how often it came since."""

    what: V
    action: str
    """The id of the first."""
    last_us: int
    repeats: int = 0


@dataclass(slots=True)
class _Minute:
    """What one source has put on the record since `start_us`."""

    start_us: int
    causes: int = 0


@final
class Repeats(Generic[K, V]):
    """Counts repeats by their cause, and how many new causes a source may bring in a minute.

    `write` is told of what came again, when its time is over or `most` causes are counted.
    INVARIANT: bounded, whatever anybody makes up.
    """

    def __init__(
        self, clock: Clock, write: Callable[[Counted[V]], None], *, most: int, per_minute: int
    ) -> None:
        """Nothing is counted yet."""
        self._clock = clock
        self._write = write
        self._most = most
        self._per_minute = per_minute
        self._counters: OrderedDict[K, Counted[V]] = OrderedDict()
        self._minutes: dict[str, _Minute] = {}

    def again(self, cause: K, now_us: int, times: int = 1) -> str | None:
        """Count what came before, and give the id of the first; None if this is the first."""
        counter = self._counters.get(cause)
        if counter is None:
            return None
        if now_us - counter.last_us >= REPEAT_WINDOW_US:
            self._end(self._counters.pop(cause))
            return None
        counter.repeats += times
        counter.last_us = now_us
        return counter.action

    def may_add(self, source: str, now_us: int, per_minute: int | None = None) -> bool:
        """Whether a source may put one more cause on the record in this minute."""
        minute = self._minutes.get(source)
        if minute is None or now_us - minute.start_us >= _MINUTE_US:
            minute = self._minutes[source] = _Minute(now_us)
        minute.causes += 1
        return minute.causes <= (self._per_minute if per_minute is None else per_minute)

    def add(self, cause: K, what: V, action: str, now_us: int) -> None:
        """Count from now on what was put on the record under that id."""
        self._counters[cause] = Counted(what, action, now_us)
        if len(self._counters) > self._most:
            self._end(self._counters.popitem(last=False)[1])

    def flush(self, *, everything: bool = False) -> None:
        """Write out the counts whose time has passed, or all of them."""
        now_us = self._clock.now_us()
        for cause, counter in list(self._counters.items()):
            if everything or now_us - counter.last_us >= REPEAT_WINDOW_US:
                del self._counters[cause]
                self._end(counter)
        for source, minute in list(self._minutes.items()):
            if now_us - minute.start_us >= _MINUTE_US:
                del self._minutes[source]

    def end(self, is_over: Callable[[K], bool]) -> None:
        """Write out the counts of causes that cannot come again."""
        for cause in [cause for cause in self._counters if is_over(cause)]:
            self._end(self._counters.pop(cause))

    def _end(self, counter: Counted[V]) -> None:
        if counter.repeats:
            self._write(counter)
