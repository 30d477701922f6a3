"""`ringfence budget`: what is spent, reserved and left, and money granted by a person."""

import sys
from collections.abc import Sequence

import click
import msgspec

from ringfence.cli.connection import Place, connect
from ringfence.cli.option import JSON, at_organisation
from ringfence.cli.terminal.moment import show_moment
from ringfence.cli.terminal.printing import hint, say, say_json, say_listing
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.table import Column, table
from ringfence.cli.usage import Group
from ringfence.domain.budget import BudgetScope, Per
from ringfence.domain.error import UsageError
from ringfence.domain.money import Money, format_usd

_PERCENT = 100


class BudgetLine(msgspec.Struct):
    """One account in its present window."""

    scope: str
    holder: str
    holder_name: str
    per: str
    limit_nano: str
    spent_nano: str
    reserved_nano: str
    left_nano: str
    is_closed: bool
    window_end_us: str | None = None


class CountLine(msgspec.Struct):
    """One counted limit."""

    scope: str
    holder: str
    holder_name: str
    unit: str
    tool: str
    used: str
    reserved: str
    limit: str | None = None
    left: str | None = None


class _Grant(msgspec.Struct):
    id: str


def budget_table(lines: Sequence[BudgetLine], style: Style) -> list[str]:
    """Budgets as a table, from the widest scope down."""
    columns = [
        Column("BUDGET", paint=style.name),
        Column("PER"),
        *(Column(heading, is_right=True) for heading in ("LIMIT", "SPENT", "RESERVED", "LEFT")),
        Column("USED", is_right=True),
        Column("STARTS AGAIN"),
    ]
    rows = [
        (
            " ".join(filter(None, (each.scope, each.holder_name or _inner(each)))),
            each.per,
            *map(dollars, (each.limit_nano, each.spent_nano, each.reserved_nano, each.left_nano)),
            "closed" if each.is_closed else _used(each),
            "never" if each.window_end_us is None else show_moment(int(each.window_end_us)),
        )
        for each in lines
    ]
    return table(columns, rows, style)


def count_table(lines: Sequence[CountLine], style: Style) -> list[str]:
    """Counted limits as a table, in the order given."""
    columns = [
        Column("COUNTED FOR", paint=style.name),
        Column("WHAT"),
        *(Column(heading, is_right=True) for heading in ("LIMIT", "USED", "RESERVED", "LEFT")),
    ]
    rows = [
        (
            f"{each.scope} {each.holder_name or each.holder}",
            " ".join(filter(None, (each.unit.replace("_", " "), each.tool))),
            each.limit or "none",
            each.used,
            each.reserved,
            each.left or "",
        )
        for each in lines
    ]
    return table(columns, rows, style)


def dollars(nano: str) -> str:
    """Nano-dollars as the API writes them, for people: exact."""
    return format_usd(Money(int(nano)))


@click.group(cls=Group)
def budget() -> None:
    """What is spent and left; grant more."""


@budget.command("show")
@click.argument("name", default="")
@click.option("--counts", "is_counted", is_flag=True, help="Calls, tokens and rates, not money.")
@JSON
@at_organisation
def show(place: Place, name: str, *, is_counted: bool, is_json: bool) -> None:
    """Show budgets in their present windows: all, or those of NAME.

    NAME is that of an agent, team or user, or the id of an invocation. With --counts: calls, tool
    calls and tokens of open runs and rates of users, as far as they are counted now.
    """
    with connect(place) as plane:
        items = plane.listing("/budgets/counts" if is_counted else "/budgets")
    kind: type[BudgetLine | CountLine] = CountLine if is_counted else BudgetLine
    pairs = [(item, msgspec.json.decode(item, type=kind)) for item in items]
    chosen = [pair for pair in pairs if name in {"", pair[1].holder_name, pair[1].holder}]
    if name and not chosen:
        raise UsageError(
            "budget_unknown", f"`{name}` has no budget", help="`ringfence budget show` lists all"
        )
    if is_json:
        say_listing([item for item, _ in chosen])
        return
    if not chosen:
        hint("nothing is counted now" if is_counted else "no budgets are configured")
        return
    style, lines = Style.of(sys.stdout), [line for _, line in chosen]
    budgets = [each for each in lines if isinstance(each, BudgetLine)]
    counts = [each for each in lines if isinstance(each, CountLine)]
    say(count_table(counts, style) if is_counted else budget_table(budgets, style))


@budget.command("grant")
@click.argument("holder", metavar="HOLDER")
@click.argument("usd", metavar="USD")
@click.option("--per", type=click.Choice([each.value for each in Per]), required=True)
@click.option("--reason", required=True, help="Why; it stands in the record.")
@JSON
@at_organisation
def grant(  # noqa: PLR0913 (one for each word of the command line)
    place: Place,
    holder: str,
    usd: str,
    per: str,
    reason: str,
    *,
    is_json: bool,
) -> None:
    """Add USD to a budget of HOLDER for its present window.

    HOLDER is `agent:NAME`, `team:NAME`, `user:NAME`, `invocation:ID`, `tree:ID` or `organisation`.
    """
    scope, _, name = holder.partition(":")
    if scope not in set(BudgetScope) or bool(name) == (scope == BudgetScope.ORGANISATION):
        raise UsageError(
            "holder_invalid",
            f"`{holder}` is nobody who has budgets",
            help="write `agent:NAME`, `team:NAME`, `user:NAME`, `invocation:ID`, `tree:ID` or "
            "`organisation`",
        )
    order = {"scope": scope, "name": name, "per": per, "usd": usd, "reason": reason}
    with connect(place) as plane:
        answer = plane.post("/budgets/grants", order)
    if is_json:
        say_json(msgspec.Raw(answer))
        return
    made = msgspec.json.decode(answer, type=_Grant)
    hint(f"{made.id}: granted ${usd} to {holder} for this {per}")


def _inner(line: BudgetLine) -> str:
    """The holder's id, where it has no name: invocations. The organisation needs none."""
    return "" if line.scope == BudgetScope.ORGANISATION else line.holder


def _used(line: BudgetLine) -> str:
    limit, left = int(line.limit_nano), int(line.left_nano)
    return f"{_PERCENT * (limit - left) // limit}%" if limit else ""
