"""A bounded memory of what was used lately."""

from collections.abc import Callable
from typing import Generic, TypeVar, final

Key = TypeVar("Key")
Value = TypeVar("Value")


@final
class Recent(Generic[Key, Value]):
    """Keeps about the last half of `limit` by weight at least, and never more than `limit`.

    Two generations: when the younger is full, the older is thrown away. A look-up costs one or two
    dictionary reads and moves nothing within the generation.
    """

    def __init__(self, limit: int, weigh: Callable[[Value], int] = lambda _: 1) -> None:
        """Nothing is remembered yet. What alone outweighs half the limit never will be."""
        self._half = limit // 2
        self._weigh = weigh
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}
        self._weight = 0

    def get(self, key: Key) -> Value | None:
        """What was put under a key, if it is still remembered."""
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Key, value: Value) -> None:
        """Remember a value."""
        weight = self._weigh(value)
        if weight > self._half:
            return
        if self._weight + weight > self._half:
            self._old, self._young, self._weight = self._young, {}, 0
        self._young[key] = value
        self._weight += weight
