"""Grants: money that a person added to one window of one budget."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select

from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.money import Money
from ringfence.stores.state.database import Database
from ringfence.stores.state.schema import grants


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What was added, to which account, and who answers for it.

    It holds for the window that starts at `window_start_us` and for no other.
    """

    id: str
    account: AccountKey
    window_start_us: int
    amount: Money
    created_us: int
    created_by: str
    reason: str


class GrantRecords:
    """Grants of all organisations."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def add(self, grant: Grant) -> None:
        """Keep a grant."""
        row = {
            "organisation": grant.account.organisation,
            "id": grant.id,
            "scope": grant.account.scope.value,
            "holder": grant.account.holder,
            "per": grant.account.per.value,
            "window_start_us": grant.window_start_us,
            "amount_nano": grant.amount,
            "created_us": grant.created_us,
            "created_by": grant.created_by,
            "reason": grant.reason,
        }
        with self._database.write() as connection:
            connection.execute(insert(grants).values(row))

    def list(
        self, organisation: str, *, after: str = "", limit: int | None = None
    ) -> tuple[Grant, ...]:
        """Grants of an organisation in the order of their ids; without a limit, all of them."""
        query = select(grants).where(grants.c.organisation == organisation, grants.c.id > after)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(grants.c.id).limit(limit)).all()
        return tuple(_read(row) for row in rows)


def _read(row: Row[Any]) -> Grant:
    account = AccountKey(
        organisation=row.organisation,
        scope=BudgetScope(row.scope),
        holder=row.holder,
        per=Per(row.per),
    )
    return Grant(
        id=row.id,
        account=account,
        window_start_us=row.window_start_us,
        amount=Money(row.amount_nano),
        created_us=row.created_us,
        created_by=row.created_by,
        reason=row.reason,
    )
