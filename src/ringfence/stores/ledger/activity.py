"""What happened to invocations, gathered from many events."""

from typing import final

from ringfence.domain.event import Change, Hold, Intent, Observation, Outcome, Refusal
from ringfence.stores.ledger.invocation import ENDINGS, OPENED, Opening, read_opening

Key = tuple[str, str]
"""Organisation and id."""


@final
class Touch:
    """What happened to one invocation."""

    __slots__ = (
        "agent", "cost", "credential", "depth", "external_id", "grouping", "last_us", "opened_us",
        "parent", "refusals", "root", "steps",
    )  # fmt: skip

    def __init__(self, root: str, time_us: int) -> None:
        """Nothing happened yet, at that time."""
        self.root = root
        self.opened_us = self.last_us = time_us
        self.steps = self.cost = self.refusals = 0
        self.agent = self.credential = self.grouping = ""
        self.parent: str | None = None
        self.depth = 0
        self.external_id: str | None = None


@final
class Activity:
    """Gathers what happened to invocations.

    INVARIANT: writing events one by one or together gives the same rows; `rebuild` relies on it.
    """

    def __init__(self) -> None:
        """Nothing happened yet."""
        self.touched: dict[Key, Touch] = {}
        self.described: list[tuple[Key, Opening]] = []
        self.ended: list[tuple[Key, str]] = []

    def add_intent(self, event: Intent) -> None:
        """One more step, which may be the first."""
        touch = self._touch_by_agent(event)
        touch.steps += 1
        if not touch.grouping:
            touch.parent = event.parent
            touch.depth = event.depth
            touch.grouping = event.grouping
            touch.external_id = event.external_id

    def add_outcome(self, event: Outcome, cost_nano: int) -> None:
        """What a step cost."""
        self._touch_by_agent(event).cost += cost_nano

    def add_refusal(self, event: Refusal) -> None:
        """One refusal, or as many more as came since."""
        self._touch_by_agent(event).refusals += event.repeats or 1

    def add_sight(self, event: Hold | Observation) -> None:
        """A call that waits for a person, or something seen: the run goes on."""
        self._touch_by_agent(event)

    def add_change(self, event: Change) -> None:
        """An opening or an end; other changes of invocations are no activity."""
        key = (event.organisation, event.subject)
        if event.what == OPENED:
            self.described.append((key, read_opening(event)))
        elif event.what in ENDINGS:
            self.ended.append((key, ENDINGS[event.what].value))
        else:
            return
        self._touch(key, event.root or event.subject, int(event.time_us))

    def _touch_by_agent(self, event: Intent | Outcome | Refusal | Hold | Observation) -> Touch:
        key = (event.organisation, event.invocation)
        touch = self._touch(key, event.root, int(event.time_us))
        if not touch.agent:
            touch.agent, touch.credential = event.agent, event.credential
        return touch

    def _touch(self, key: Key, root: str, time_us: int) -> Touch:
        touch = self.touched.get(key)
        if touch is None:
            touch = self.touched[key] = Touch(root, time_us)
        elif time_us > touch.last_us:
            touch.last_us = time_us
        return touch
