"""Approvals: calls that are held until a person has answered."""

from collections.abc import Callable, Collection, Iterator
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, select, update

from ringfence.decisions.approval import OPEN, Waiting
from ringfence.domain.approval import Approval, ApprovalState, Binding
from ringfence.domain.verdict import Reason
from ringfence.stores.state.database import Database
from ringfence.stores.state.schema import approvals

_ENDED: Final = sorted(set(ApprovalState) - OPEN)

_AT_ONCE: Final = 200
"""Rows in one statement."""

Advance = Callable[[Approval], Approval | None]
"""What becomes of a held call; None leaves it as it is."""
Refuse = Callable[[Binding, Waiting], Reason | None]
"""Why a call is not held, by what waits for people already; None if it is."""


class ApprovalRecords:
    """Held calls of all organisations.

    INVARIANT: a state is changed in one transaction that has read it, so that of two people who
    answer at once, or two actions that rest on one approval, one is first.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def add(self, approval: Approval, refuse: Refuse = lambda *_: None) -> Reason | None:
        """Keep a held call, unless what waits already refuses it; then why.

        Counted and kept in one transaction, so that no two processes keep one more than may wait.
        """
        with self._database.write() as connection:
            refused = refuse(approval.binding, _waiting(connection, approval.binding))
            if refused is None:
                connection.execute(insert(approvals).values(_row(approval)))
            return refused

    def find(self, organisation: str, approval: str) -> Approval | None:
        """The held call with that id, whatever has become of it."""
        with self._database.read() as connection:
            row = connection.execute(_one(organisation, approval)).one_or_none()
        return None if row is None else _read(row)

    def list(
        self,
        organisation: str,
        *,
        states: frozenset[ApprovalState] | None = None,
        before: str = "",
        limit: int | None = None,
    ) -> tuple[Approval, ...]:
        """Held calls of an organisation, the newest first; `before` is an id, for paging."""
        query = select(approvals.c.document).where(approvals.c.organisation == organisation)
        if states is not None:
            query = query.where(approvals.c.state.in_(sorted(states)))
        if before:
            query = query.where(approvals.c.id < before)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(approvals.c.id.desc()).limit(limit)).all()
        return tuple(_read(row) for row in rows)

    def every(self, organisation: str) -> Iterator[Approval]:
        """All of an organisation, the newest first, a page at a time."""
        before = ""
        while some := self.list(organisation, before=before, limit=_AT_ONCE):
            yield from some
            before = some[-1].id

    def open(self) -> tuple[Approval, ...]:
        """Every held call out of which something can still become, of all organisations."""
        query = select(approvals.c.document).where(approvals.c.state.in_(sorted(OPEN)))
        with self._database.read() as connection:
            return tuple(_read(row) for row in connection.execute(query).all())

    def change(self, organisation: str, approval: str, advance: Advance) -> Approval | None:
        """Let something become of a held call; it as it is now, None if there is none.

        `advance` may be called with a call that has moved on since it was last seen.
        """
        with self._database.write() as connection:
            query = _one(organisation, approval).with_for_update()
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            found = _read(row)
            changed = advance(found)
            if changed is None:
                return found
            _write(connection, changed)
            return changed

    def ended(self, organisation: str, before_us: int, *, after: str = "") -> tuple[Approval, ...]:
        """Some of those that have ended and were made before then, by id; `after` is for paging."""
        query = select(approvals.c.document).where(
            approvals.c.organisation == organisation,
            approvals.c.state.in_(_ENDED),
            approvals.c.created_us < before_us,
            approvals.c.id > after,
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(approvals.c.id).limit(_AT_ONCE)).all()
        return tuple(_read(row) for row in rows)

    def forget(self, organisation: str, ids: Collection[str]) -> int:
        """Drop those of them that have ended, for good; how many there were.

        INVARIANT: one out of which something can still become is never dropped.
        """
        found = 0
        asked = sorted(ids)
        for at in range(0, len(asked), _AT_ONCE):
            gone = delete(approvals).where(
                approvals.c.organisation == organisation,
                approvals.c.id.in_(asked[at : at + _AT_ONCE]),
                approvals.c.state.in_(_ENDED),
            )
            with self._database.write() as connection:
                found += connection.execute(gone).rowcount
        if found:
            self._database.overwrite()
        return found


def _waiting(connection: Connection, binding: Binding) -> Waiting:
    """What of the same run, agent and organisation can still become something."""

    def count(*more: ColumnElement[bool]) -> int:
        place = approvals.c.organisation == binding.organisation
        of = select(func.count()).where(place, approvals.c.state.in_(sorted(OPEN)), *more)
        return connection.execute(of).scalar_one()

    return Waiting(
        of_run=count(approvals.c.root == binding.root),
        of_agent=count(approvals.c.agent == binding.agent),
        of_organisation=count(),
    )


def _one(organisation: str, approval: str) -> Select[tuple[bytes]]:
    return select(approvals.c.document).where(
        approvals.c.organisation == organisation, approvals.c.id == approval
    )


def _write(connection: Connection, approval: Approval) -> None:
    connection.execute(
        update(approvals)
        .where(
            approvals.c.organisation == approval.binding.organisation,
            approvals.c.id == approval.id,
        )
        .values(_row(approval))
    )


def _row(approval: Approval) -> dict[str, object]:
    return {
        "organisation": approval.binding.organisation,
        "id": approval.id,
        "state": approval.state.value,
        "agent": approval.binding.agent,
        "root": approval.binding.root,
        "created_us": approval.created_us,
        "document": msgspec.json.encode(approval),
    }


def _read(row: Row[tuple[bytes]]) -> Approval:
    return msgspec.json.decode(row.document, type=Approval)
