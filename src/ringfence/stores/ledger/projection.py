"""What follows from the events of a log: accounts, invocations, pending intents, traces.

A projection gathers many events in memory; the backend writes it in one transaction together with
the sequence it is complete up to, so that a crash loses nothing: what lies behind that sequence is
gathered again from the segments.
"""

from collections.abc import Mapping
from typing import Final, Self, final

from ringfence.domain.event import AnyEvent, Change, Hold, Intent, Observation, Outcome, Refusal
from ringfence.stores.ledger import call_count
from ringfence.stores.ledger.activity import Activity, Key

_MOST_EVENTS: Final = 4096
"""So many events are read again when a plane starts or somebody looks: about 40 ms."""

_MOST_ROWS: Final = 2048
"""So many rows are written in some 10 ms, during which no intent can be committed.

Fewer would cost more: a few hundred runs at work touch a few rows each, whatever is gathered, and
with 512 rows those of 256 runs were written again after every 300 events (5 ms each time).
"""


@final
class Projection:
    """Gathers events until it is written; `count` tells how many, `through` the last sequence.

    `traces` holds the segments (by their first sequence) in which a tree (organisation, root) has
    events; `opened` the intents that are still without outcome, with their sequence; `closed` those
    of earlier projections that got theirs; `spent` what each account (organisation, scope, holder,
    per, start of its window) was charged, in nano-dollars.
    """

    __slots__ = ("activity", "closed", "count", "opened", "spent", "through", "traces")

    def __init__(self) -> None:
        """Nothing is gathered yet."""
        self.count = 0
        self.through = 0
        self.traces: dict[Key, list[int]] = {}
        self.opened: dict[Key, int] = {}
        self.closed: list[Key] = []
        self.spent: dict[tuple[str, str, str, str, str], int] = {}
        self.activity = Activity()

    @property
    def is_full(self) -> bool:
        """Whether it is time to write it and to begin another."""
        rows = len(self.traces) + len(self.spent) + len(self.activity.touched)
        return self.count >= _MOST_EVENTS or rows >= _MOST_ROWS

    @classmethod
    def of_ends(cls, ended: Mapping[Key, str]) -> Self:
        """What another log tells of the ends of invocations, and how each ended."""
        projection = cls()
        projection.count = len(ended)
        projection.activity.ended.extend(ended.items())
        return projection

    def apply(self, event: AnyEvent, sequence: int, first: int) -> None:
        """Take in the event of that sequence, which stands in the segment beginning at `first`."""
        self.count += 1
        self.through = sequence
        root = event.root or event.invocation
        if root:
            key = (event.organisation, root)
            segments = self.traces.get(key)
            if segments is None:
                self.traces[key] = [first]
            elif segments[-1] != first:
                segments.append(first)
        if type(event) is Intent:
            self.opened[event.organisation, event.action] = sequence
            self.activity.add_intent(event)
            for place in call_count.places(event):
                self.spent[place] = self.spent.get(place, 0) + 1
        elif type(event) is Outcome:
            self._apply_outcome(event)
        elif isinstance(event, Change):
            self.activity.add_change(event)
        elif isinstance(event, Hold | Observation):
            self.activity.add_sight(event)
        elif isinstance(event, Refusal) and event.invocation:
            self.activity.add_refusal(event)

    def _apply_outcome(self, event: Outcome) -> None:
        organisation, cost_nano = event.organisation, int(event.cost_nano)
        key = (organisation, event.action)
        if self.opened.pop(key, None) is None:
            self.closed.append(key)
        self.activity.add_outcome(event, cost_nano)
        if cost_nano:
            spent = self.spent
            for line in event.accounts:
                account = (organisation, line.scope, line.holder, line.per, line.window_us)
                spent[account] = spent.get(account, 0) + cost_nano
