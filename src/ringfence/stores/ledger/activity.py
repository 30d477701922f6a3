"""What happened to invocations, gathered and written many at once."""

import sqlite3
from typing import Final, final

from ringfence.domain.event import Change, Intent, Outcome, Refusal
from ringfence.stores.bulk import Bulk
from ringfence.stores.ledger.invocation import ENDINGS, OPENED, Opening, read_opening

Key = tuple[str, str]
"""Organisation and id."""

# An invocation may begin with a refusal, or end unseen: what a later event knows is filled in.
_ADD: Final = Bulk(
    "INSERT INTO invocations (organisation, id, root, agent, credential, opened_us, last_us, steps,"
    " cost_nano, refusals, parent, depth, grouping, external_id) VALUES",
    14,
    """ON CONFLICT DO UPDATE SET
        last_us = max(last_us, excluded.last_us),
        steps = steps + excluded.steps,
        cost_nano = cost_nano + excluded.cost_nano,
        refusals = refusals + excluded.refusals,
        agent = iif(agent = '', excluded.agent, agent),
        credential = iif(credential = '', excluded.credential, credential),
        parent = iif(grouping = '', excluded.parent, parent),
        depth = iif(grouping = '', excluded.depth, depth),
        external_id = iif(grouping = '', excluded.external_id, external_id),
        grouping = iif(grouping = '', excluded.grouping, grouping)""",
)
_DESCRIBE: Final = """UPDATE invocations
    SET agent = coalesce(nullif(?, ''), agent), credential = coalesce(nullif(?, ''), credential),
        parent = ?, depth = ?, grouping = ?, external_id = ?,
        deadline_us = ?, token_digest = ?, narrowing = ?, task = ?
    WHERE organisation = ? AND id = ?"""
_END: Final = "UPDATE invocations SET state = ? WHERE organisation = ? AND id = ?"


@final
class _Touch:
    """What happened to one invocation."""

    __slots__ = (
        "agent", "cost", "credential", "depth", "external_id", "grouping", "last_us", "opened_us",
        "parent", "refusals", "root", "steps",
    )  # fmt: skip

    def __init__(self, root: str, time_us: int) -> None:
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
        self._touched: dict[Key, _Touch] = {}
        self._described: list[tuple[Key, Opening]] = []
        self._ended: list[tuple[Key, str]] = []

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

    def add_change(self, event: Change) -> None:
        """An opening or an end; other changes of invocations are no activity."""
        key = (event.organisation, event.subject)
        if event.what == OPENED:
            self._described.append((key, read_opening(event)))
        elif event.what in ENDINGS:
            self._ended.append((key, ENDINGS[event.what].value))
        else:
            return
        self._touch(key, event.root or event.subject, int(event.time_us))

    def _touch_by_agent(self, event: Intent | Outcome | Refusal) -> _Touch:
        key = (event.organisation, event.invocation)
        touch = self._touch(key, event.root, int(event.time_us))
        if not touch.agent:
            touch.agent, touch.credential = event.agent, event.credential
        return touch

    def _touch(self, key: Key, root: str, time_us: int) -> _Touch:
        touch = self._touched.get(key)
        if touch is None:
            touch = self._touched[key] = _Touch(root, time_us)
        elif time_us > touch.last_us:
            touch.last_us = time_us
        return touch

    def write(self, connection: sqlite3.Connection) -> None:
        """Bring the invocations up to date, within the caller's transaction."""
        values: list[object] = []
        for key, touch in self._touched.items():
            values += key
            values += (
                touch.root, touch.agent, touch.credential, touch.opened_us, touch.last_us,
                touch.steps, touch.cost, touch.refusals,
                touch.parent, touch.depth, touch.grouping, touch.external_id,
            )  # fmt: skip
        _ADD.run(connection, values)
        for key, opening in self._described:
            described = (
                opening.agent, opening.credential, opening.parent, opening.depth, opening.grouping,
                opening.external_id, opening.deadline_us, opening.token_digest, opening.narrowing,
                opening.task,
            )  # fmt: skip
            connection.execute(_DESCRIBE, (*described, *key))
        connection.executemany(_END, [(state, *key) for key, state in self._ended])
