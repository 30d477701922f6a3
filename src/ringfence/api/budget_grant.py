"""Routes about budget grants: money that a person adds to one account for its present window."""

import asyncio
from decimal import Decimal
from functools import partial

import msgspec

from ringfence.api.budget import holders_of, lines_of
from ringfence.api.context import ChangeNote
from ringfence.api.route import ADMIN, VIEWER, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.decisions.period import Line
from ringfence.domain.budget import BudgetScope, Per
from ringfence.domain.error import UsageError
from ringfence.domain.money import from_usd
from ringfence.stores.state.grant import Grant

_GRANT_LIMIT_USD = 1_000_000_000  # a nano-dollar count of it fits 64 bits
_REASON_LIMIT = 1000


class GrantOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money for one budget in its present window.

    `name` is the agent's, user's or team's name, or the id of an invocation; empty for the
    organisation.
    """

    scope: BudgetScope
    per: Per
    usd: Decimal
    reason: str
    name: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec reports as a wrong body."""
        if not (self.usd.is_finite() and 0 < self.usd <= _GRANT_LIMIT_USD):
            raise ValueError(f"usd must be above 0 and at most {_GRANT_LIMIT_USD}")
        if not 0 < len(self.reason) <= _REASON_LIMIT:
            raise ValueError(f"reason must have 1 to {_REASON_LIMIT} characters")


class GrantView(msgspec.Struct, frozen=True, kw_only=True):
    """One grant, and who answers for it."""

    id: str
    scope: BudgetScope
    holder: str
    per: Per
    window_start_us: str
    amount_nano: str
    created_us: str
    created_by: str
    reason: str


async def grant(call: Call[Nothing, GrantOrder]) -> GrantView:
    """Add money to a budget; every worker counts on it when this returns."""
    context, order = call.context, call.body
    line = await _granted_line(call)
    made = Grant(
        id=context.ids.make("grt"),
        account=line.key,
        window_start_us=line.window.start_us,
        amount=from_usd(order.usd),
        created_us=context.clock.now_us(),
        created_by=call.person.actor,
        reason=order.reason,
    )
    # What gives power is recorded before it is given.
    await context.record(_note(made))
    await asyncio.to_thread(context.state.grants.add, made)
    await context.workers.grant_added(made)
    return _grant_view(made)


async def list_grants(call: Call[Paging, Nothing]) -> Page[GrantView]:
    """Grants in the order of their making."""
    query = call.query
    read = partial(call.context.state.grants.list, call.organisation.id, after=query.after)
    grants = await asyncio.to_thread(partial(read, limit=query.limit + 1))
    shown = grants[: query.limit]
    return Page(
        items=[_grant_view(each) for each in shown],
        next=shown[-1].id if len(grants) > len(shown) else None,
    )


async def _granted_line(call: Call[Nothing, GrantOrder]) -> Line:
    order = call.body
    holder = holders_of(call.organisation).get((order.scope, order.name), order.name)
    lines = await lines_of(call.context, call.organisation)
    theirs = [line for line in lines if (line.key.scope, line.key.holder) == (order.scope, holder)]
    for line in theirs:
        if line.key.per is order.per:
            return line
    known = ", ".join(f"`{line.key.per}`" for line in theirs) or "none"
    raise UsageError(
        "budget_unknown",
        f"no budget per {order.per} of {order.scope} `{order.name}`",
        help=f"budgets it has: {known}",
    )


def _grant_view(made: Grant) -> GrantView:
    return GrantView(
        id=made.id,
        scope=made.account.scope,
        holder=made.account.holder,
        per=made.account.per,
        window_start_us=str(made.window_start_us),
        amount_nano=str(made.amount),
        created_us=str(made.created_us),
        created_by=made.created_by,
        reason=made.reason,
    )


def _note(made: Grant) -> ChangeNote:
    account = made.account
    return ChangeNote(
        organisation=account.organisation,
        actor=made.created_by,
        what="budget.granted",
        subject=made.id,
        detail={
            "scope": account.scope,
            "holder": account.holder,
            "per": account.per,
            "window_us": str(made.window_start_us),
            "amount_nano": str(made.amount),
            "reason": made.reason,
        },
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/budgets/grants",
        summary="List what was granted, by whom and why.",
        roles=VIEWER,
        query=Paging,
        body=Nothing,
        answer=Page[GrantView],
        handler=list_grants,
    ),
    Route(
        method="POST",
        path="/budgets/grants",
        summary="Grant money to a budget for its present window.",
        roles=ADMIN,
        query=Nothing,
        body=GrantOrder,
        answer=GrantView,
        handler=grant,
    ),
)
