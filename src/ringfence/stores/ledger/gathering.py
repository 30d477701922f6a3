"""Gather what follows from committed events, in projections of a size that is quickly written."""

from collections import deque
from typing import final

from ringfence.stores.ledger.draft import Draft
from ringfence.stores.ledger.projection import Projection


@final
class Gathering:
    """Takes committed drafts in and gives full projections out, each once and in order."""

    def __init__(self) -> None:
        """Nothing was committed yet."""
        self._drafts: list[Draft] = []
        self._projection = Projection()
        self._closed: deque[Projection] = deque()

    @property
    def waiting(self) -> int:
        """How many projections wait to be written."""
        return len(self._closed)

    def add(self, draft: Draft) -> None:
        """Take a committed draft; it is looked at when there is time, by `apply`."""
        self._drafts.append(draft)

    def apply(self) -> None:
        """Gather from the drafts that were added."""
        for draft in self._drafts:
            first = draft.batch.first
            for sequence, event in enumerate(draft.events, first):
                self._projection.apply(event, sequence, first)
            if self._projection.is_full:
                self._next_projection()
        self._drafts.clear()

    def close(self) -> None:
        """Make all that was added ready to be written."""
        self.apply()
        if self._projection.count:
            self._next_projection()

    def next(self) -> Projection:
        """The projection to write next; it stays the next until it is `written`."""
        return self._closed[0]

    def written(self) -> None:
        """The next projection is in the backend."""
        self._closed.popleft()

    def _next_projection(self) -> None:
        self._closed.append(self._projection)
        self._projection = Projection()
