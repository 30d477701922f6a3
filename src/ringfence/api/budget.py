"""Routes about budgets: what is spent and left in each account."""

import asyncio
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

import msgspec

from ringfence.api.context import ControlContext
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.decisions.budget import MONEY
from ringfence.decisions.charge import tier_holder
from ringfence.decisions.limit import UNLIMITED
from ringfence.decisions.period import Line
from ringfence.decisions.window import window_of
from ringfence.domain.budget import AccountKey, Budget, BudgetScope, Per, Unit, Window
from ringfence.domain.error import UnavailableError
from ringfence.domain.money import ZERO, Money
from ringfence.domain.organisation import Organisation

WITHIN_INVOCATIONS = frozenset({Per.INVOCATION, Per.TREE})
"""Accounts whose holders come and go."""

_COUNTS = frozenset(Unit) - MONEY


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """One account in its present window. Money in nano-dollars, times in UTC microseconds.

    `left_nano` is below zero while an overrun is uncovered; then `is_closed`.
    """

    scope: BudgetScope
    holder: str
    holder_name: str
    per: Per
    window_start_us: str
    window_end_us: str | None
    limit_nano: str
    spent_nano: str
    reserved_nano: str
    left_nano: str
    is_closed: bool


class CountView(msgspec.Struct, frozen=True, kw_only=True):
    """One counted limit: of a tree's calls, tool calls or tokens, or of a user's calls per minute.

    `tool` is `server__tool` where only its calls are counted; `limit` and `left` are absent where
    there is no limit.
    """

    scope: BudgetScope
    holder: str
    holder_name: str
    unit: Unit
    tool: str
    limit: str | None
    used: str
    reserved: str
    left: str | None


async def list_budgets(call: Call[Paging, Nothing]) -> Page[BudgetView]:
    """Every configured account, and those of open invocations, from the widest scope down."""
    lines = await lines_of(call.context, call.organisation)
    found = await asyncio.to_thread(_page, lines, call.query)
    names = _names(call.organisation)
    return Page(items=[_view(line, names) for line in found.items], next=found.next)


async def list_counts(call: Call[Paging, Nothing]) -> Page[CountView]:
    """What is counted and no money: calls, tool calls and tokens of open runs, rates of users."""
    _require_running(call.context)
    lines = await call.context.workers.budgets(call.organisation.id, _COUNTS)
    found = await asyncio.to_thread(_page, lines, call.query)
    names = _names(call.organisation)
    return Page(items=[_count_view(line, names) for line in found.items], next=found.next)


def _page(lines: Iterable[Line], paging: Paging) -> Page[Line]:
    """In a thread: there may be many. Only what is shown is put in order."""
    rest = (line for line in lines if _position(line.key) > paging.after)
    shown = heapq.nsmallest(paging.limit + 1, rest, key=lambda line: _position(line.key))
    is_more = len(shown) > paging.limit
    del shown[paging.limit :]
    return Page(items=shown, next=_position(shown[-1].key) if is_more else None)


async def lasting_budgets(
    context: ControlContext, organisation: Organisation, most: int
) -> tuple[list[BudgetView], int]:
    """So many accounts that outlive an invocation, the widest first, and how many more there are.

    Raises UnavailableError `plane_stopped`.
    """
    lines = await lines_of(context, organisation)

    def views() -> tuple[list[BudgetView], int]:
        lasting = [line for line in lines if line.key.per not in WITHIN_INVOCATIONS]
        shown = heapq.nsmallest(most, lasting, key=lambda line: _position(line.key))
        names = _names(organisation)
        return [_view(line, names) for line in shown], len(lasting) - len(shown)

    return await asyncio.to_thread(views)


async def of_holder(
    context: ControlContext, organisation: Organisation, holder: str
) -> list[BudgetView] | None:
    """The accounts of one holder; None while the data plane is not running."""
    if not context.is_serving:
        return None
    lines = await lines_of(context, organisation)
    names = _names(organisation)
    theirs = [line for line in lines if line.key.holder == holder]
    return [_view(line, names) for line in sorted(theirs, key=lambda line: _position(line.key))]


async def lines_of(context: ControlContext, organisation: Organisation) -> Sequence[Line]:
    """The books, with accounts that nobody has used in their present window as untouched.

    In no order; put together in a thread, since there may be many.
    """
    _require_running(context)
    books = await context.workers.budgets(organisation.id)
    return await asyncio.to_thread(_with_configured, context, organisation, books)


def _with_configured(
    context: ControlContext, organisation: Organisation, books: Sequence[Line]
) -> Sequence[Line]:
    known = {line.key: line for line in books}
    live = {key: line for key, line in known.items() if line.window.end_us != line.window.start_us}
    grants = context.state.grants.list(organisation.id)
    granted: dict[tuple[AccountKey, int], int] = {}
    for each in grants:
        place = (each.account, each.window_start_us)
        granted[place] = granted.get(place, 0) + each.amount
    now_us = context.clock.now_us()
    zone = ZoneInfo(organisation.timezone)
    for key, budget in _configured(organisation):
        window = window_of(key.per, now_us, zone)
        limit = Money(budget.limit + granted.get((key, window.start_us), 0))
        live[key] = _present(key, window, limit, known.get(key))
    return list(live.values())


def _require_running(context: ControlContext) -> None:
    if not context.is_serving:
        raise UnavailableError(
            "plane_stopped", "budgets are kept by the running plane", help="start it first"
        )


def _present(key: AccountKey, window: Window, limit: Money, known: Line | None) -> Line:
    """The account in this window; what the books say of an earlier one is over."""
    if known is None or known.window.start_us != window.start_us:
        return Line(key, window, limit, ZERO, ZERO, ZERO)
    return Line(key, window, limit, known.spent, known.reserved, known.overrun)


def _configured(organisation: Organisation) -> Iterator[tuple[AccountKey, Budget]]:
    holders: list[tuple[BudgetScope, str, tuple[Budget, ...]]] = [
        (BudgetScope.ORGANISATION, organisation.id, organisation.budgets),
        *((BudgetScope.TEAM, each.id, each.budgets) for each in organisation.teams.values()),
        *((BudgetScope.USER, each.id, each.budgets) for each in organisation.users.values()),
        *((BudgetScope.AGENT, each.id, each.budgets) for each in organisation.agents.values()),
        *(
            (BudgetScope.AGENT, tier_holder(each.id, tier), rule.budgets)
            for each in organisation.agents.values()
            for tier, rule in each.tiers.items()
        ),
    ]
    for scope, holder, budgets in holders:
        for budget in budgets:
            if budget.per not in WITHIN_INVOCATIONS:
                yield AccountKey(organisation.id, scope, holder, budget.per), budget


def holders_of(organisation: Organisation) -> Mapping[tuple[BudgetScope, str], str]:
    """Ids by scope and name; the organisation itself has no name within itself."""
    return {
        (BudgetScope.ORGANISATION, ""): organisation.id,
        **{(BudgetScope.TEAM, name): each.id for name, each in organisation.teams.items()},
        **{(BudgetScope.USER, name): each.id for name, each in organisation.users.items()},
        **{(BudgetScope.AGENT, name): each.id for name, each in organisation.agents.items()},
        **{
            (BudgetScope.AGENT, f"{name}.{tier}"): tier_holder(each.id, tier)
            for name, each in organisation.agents.items()
            for tier in each.tiers
        },
    }


def _names(organisation: Organisation) -> Mapping[str, str]:
    """By id; those of an agent's tier are called `triage.subagent`."""
    return {holder: name for (_, name), holder in holders_of(organisation).items()}


_ORDER = {
    scope: place for place, scope in enumerate(reversed(BudgetScope))
}  # as people read it, the widest first


def _position(key: AccountKey) -> str:
    """Where an account stands in the listing; also the cursor of a page."""
    return f"{_ORDER[key.scope]}.{key.holder}.{key.per}" + (
        "" if key.unit is Unit.MONEY else f".{key.unit}.{key.part}"
    )


def _view(line: Line, names: Mapping[str, str]) -> BudgetView:
    end_us = line.window.end_us
    return BudgetView(
        scope=line.key.scope,
        holder=line.key.holder,
        holder_name=names.get(line.key.holder, ""),
        per=line.key.per,
        window_start_us=str(line.window.start_us),
        window_end_us=None if end_us is None else str(end_us),
        limit_nano=str(line.limit),
        spent_nano=str(line.spent),
        reserved_nano=str(line.reserved),
        left_nano=str(line.left),
        is_closed=line.is_closed,
    )


def _count_view(line: Line, names: Mapping[str, str]) -> CountView:
    is_unlimited = line.limit >= UNLIMITED
    return CountView(
        scope=line.key.scope,
        holder=line.key.holder,
        holder_name=names.get(line.key.holder, ""),
        unit=line.key.unit,
        tool=line.key.part,
        limit=None if is_unlimited else str(line.limit),
        used=str(line.spent),
        reserved=str(line.reserved),
        left=None if is_unlimited else str(line.left),
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/budgets",
        summary="List budgets with what is spent, reserved and left.",
        roles=VIEWER,
        query=Paging,
        body=Nothing,
        answer=Page[BudgetView],
        handler=list_budgets,
    ),
    Route(
        method="GET",
        path="/budgets/counts",
        summary="List counted limits of open runs and users, with what is used and left.",
        roles=VIEWER,
        query=Paging,
        body=Nothing,
        answer=Page[CountView],
        handler=list_counts,
    ),
)
