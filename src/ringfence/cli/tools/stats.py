"""`ringfence tools list --stats`: how often tools work, how fast, and what they cost."""

import sys

import msgspec

from ringfence.analysis.tool_stats import ToolStats
from ringfence.cli.connection import Place, connect
from ringfence.cli.terminal.moment import show_duration
from ringfence.cli.terminal.printing import hint, say, say_json
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.table import Column, table
from ringfence.cli.terminal.text import harmless
from ringfence.domain.money import Money, format_usd

_ERRORS_SHOWN = 3


def show_stats(place: Place, server: str, *, is_json: bool) -> None:
    """Print how tools fare, of one server or of all; the worst first."""
    with connect(place) as plane:
        found = msgspec.json.decode(plane.get("/tools/stats"), type=list[ToolStats])
    lines = [each for each in found if not server or each.tool.startswith(f"{server}__")]
    if is_json:
        say_json(lines)
        return
    if not lines:
        hint("no tool was called in the last seven days")
        return
    say(stats_lines(lines, Style.of(sys.stdout)))


def stats_lines(found: list[ToolStats], style: Style) -> list[str]:
    """How tools fare, for people."""
    columns = [
        Column("TOOL"),
        Column("AGENT"),
        Column("VERSION"),
        Column("CALLS", is_right=True),
        Column("WORKED", is_right=True),
        Column("MEDIAN", is_right=True),
        Column("95%", is_right=True),
        Column("COST", is_right=True),
        Column("ERRORS"),
    ]
    rows = [
        (
            harmless(each.tool),
            harmless(each.agent),
            harmless(each.version),
            f"{each.calls:,}",
            f"{100 * each.success_ratio:.1f}%",
            show_duration(each.median_us),
            show_duration(each.p95_us),
            format_usd(Money(int(each.cost_nano))),
            _errors(each),
        )
        for each in found
    ]
    return list(table(columns, rows, style))


def _errors(stats: ToolStats) -> str:
    most = sorted(stats.errors.items(), key=lambda each: (-each[1], each[0]))[:_ERRORS_SHOWN]
    return ", ".join(f"{harmless(name)} ×{count}" for name, count in most)
