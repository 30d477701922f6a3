"""What the ledger knows of an invocation, and how an event says that one was opened."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ringfence.domain.event import Change
from ringfence.domain.invocation import Grouping, Invocation, InvocationState
from ringfence.domain.money import Money

OPENED: Final = "invocation.opened"

ENDINGS: Final = {
    "invocation.finished": InvocationState.FINISHED,
    "invocation.stopped": InvocationState.STOPPED,
    "invocation.expired": InvocationState.EXPIRED,
}
"""What a change says when an invocation (its subject) ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationRecord:
    """An invocation as the ledger has it.

    `is_identified` is false while only refusals are known of it: then parent, depth and grouping
    are not. `token_digest` is the SHA-256 of its token, if one was given out; `narrowing` is the
    JSON text it was opened with.
    """

    invocation: Invocation
    is_identified: bool
    state: InvocationState
    last_us: int
    steps: int
    cost: Money
    refusals: int
    token_digest: bytes | None
    narrowing: str
    seen: tuple[str, ...] = ()
    """Labels of what its tree has read, where that was looked up."""
    doubts: tuple[tuple[str, str], ...] = ()
    """By action what is not as it must be after it, where that was looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an `invocation.opened` change tells beyond its own fields."""

    agent: str
    parent: str | None
    depth: int
    grouping: str
    external_id: str | None
    credential: str
    deadline_us: int | None
    token_digest: bytes | None
    narrowing: str
    task: str


def opening_detail(
    invocation: Invocation, *, token_digest: bytes | None = None, narrowing: str = ""
) -> dict[str, str]:
    """The `detail` of the change that opens an invocation; what is absent is left out."""
    detail = {
        "agent": invocation.agent,
        "credential": invocation.credential,
        "depth": str(invocation.depth),
        "grouping": invocation.grouping.value,
        "parent": invocation.parent or "",
        "external_id": invocation.external_id or "",
        "deadline_us": "" if invocation.deadline_us is None else str(invocation.deadline_us),
        "token_digest": token_digest.hex() if token_digest else "",
        "narrowing": narrowing,
    }
    return {name: value for name, value in detail.items() if value}


def read_opening(change: Change) -> Opening:
    """The inverse of `opening_detail`; earlier releases wrote the task there, too."""
    detail = change.detail
    deadline = detail.get("deadline_us")
    digest = detail.get("token_digest")
    return Opening(
        agent=detail.get("agent", ""),
        parent=detail.get("parent"),
        depth=int(detail.get("depth", "0")),
        grouping=detail.get("grouping", Grouping.TOKEN.value),
        external_id=detail.get("external_id"),
        credential=detail.get("credential", ""),
        deadline_us=int(deadline) if deadline else None,
        token_digest=bytes.fromhex(digest) if digest else None,
        narrowing=detail.get("narrowing", ""),
        task=detail.get("task", ""),
    )


COLUMNS: Final = (
    "organisation, id, root, agent, parent, depth, grouping, external_id, credential, opened_us,"
    " last_us, state, steps, cost_nano, refusals, deadline_us, token_digest, narrowing, task"
)


def from_row(row: Mapping[str, Any]) -> InvocationRecord:
    """Read one row of `COLUMNS`."""
    return InvocationRecord(
        invocation=Invocation(
            id=row["id"],
            organisation=row["organisation"],
            agent=row["agent"],
            root=row["root"],
            parent=row["parent"],
            depth=row["depth"],
            credential=row["credential"],
            opened_us=row["opened_us"],
            grouping=Grouping(row["grouping"] or Grouping.TIME),
            external_id=row["external_id"],
            task=row["task"],
            deadline_us=row["deadline_us"],
        ),
        is_identified=bool(row["grouping"]),
        state=InvocationState(row["state"]),
        last_us=row["last_us"],
        steps=row["steps"],
        cost=Money(row["cost_nano"]),
        refusals=row["refusals"],
        token_digest=row["token_digest"],
        narrowing=row["narrowing"],
    )


def select(
    connection: sqlite3.Connection, where: str, values: Mapping[str, object] | None = None
) -> list[InvocationRecord]:
    """The invocations of a log that meet a condition; `where` may end in an order and a limit."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    query = f"SELECT {COLUMNS} FROM invocations WHERE {where}"  # noqa: S608 (the caller's constant)
    rows = cursor.execute(query, values or {})
    return [from_row(row) for row in rows]


def merge(one: InvocationRecord, other: InvocationRecord) -> InvocationRecord:
    """One record of what two logs, or a log and its newest events, know of an invocation."""
    known, more = (other, one) if other.is_identified and not one.is_identified else (one, other)
    opened_us = min(one.invocation.opened_us, other.invocation.opened_us)
    return replace(
        known,
        invocation=replace(
            known.invocation,
            agent=known.invocation.agent or more.invocation.agent,
            opened_us=opened_us,
        ),
        state=known.state if known.state is not InvocationState.OPEN else more.state,
        last_us=max(one.last_us, other.last_us),
        steps=one.steps + other.steps,
        cost=Money(one.cost + other.cost),
        refusals=one.refusals + other.refusals,
        token_digest=known.token_digest or more.token_digest,
        narrowing=known.narrowing or more.narrowing,
    )
