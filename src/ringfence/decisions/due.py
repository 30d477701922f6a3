"""What is to be looked at when: looking costs by what is due, and not by all that there is."""

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar, final

Key = TypeVar("Key", bound=Hashable)


@final
class Due(Generic[Key]):
    """Keys with a time each, UTC microseconds; a key stands in it once.

    What is forgotten elsewhere stays until its time has come: whoever takes it looks whether it
    is there, and puts it in again if it was too early.
    """

    __slots__ = ("_count", "_heap", "_known")

    def __init__(self) -> None:
        """Nothing is due ever."""
        self._heap: list[tuple[int, int, Key]] = []
        self._known: set[Key] = set()
        self._count = 0

    def __len__(self) -> int:
        """How many keys wait for their time."""
        return len(self._heap)

    def put(self, key: Key, at_us: int) -> None:
        """Have a key looked at then; one that waits already keeps its time."""
        if key not in self._known:
            self._known.add(key)
            self._count += 1
            heapq.heappush(self._heap, (at_us, self._count, key))

    def take(self, now_us: int) -> list[Key]:
        """All whose time has come, the earliest first; they wait no longer."""
        found = []
        while self._heap and self._heap[0][0] <= now_us:
            key = heapq.heappop(self._heap)[2]
            self._known.remove(key)
            found.append(key)
        return found
