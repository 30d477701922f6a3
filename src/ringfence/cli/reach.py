"""How an agent's reach is told to people."""

import sys
from collections.abc import Iterator

import click
import msgspec

from ringfence.analysis.reach import ASK, DENY, OPEN, SOMETIMES, Reach, Right
from ringfence.cli.connection import Place, connect
from ringfence.cli.option import JSON, at_organisation, complete_agent, segment
from ringfence.cli.terminal.moment import read_moment, show_moment
from ringfence.cli.terminal.printing import say, say_json, with_moments
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.table import Column, table
from ringfence.cli.terminal.text import counted, harmless
from ringfence.transport.clock import SystemClock

_GATES = {
    OPEN: "none",
    ASK: "a person, each time",
    SOMETIMES: "by conditions",
    DENY: "refused",
}


class _View(msgspec.Struct):
    agent: str
    since_us: str
    reach: Reach
    unlisted: list[str]


@click.command("reach")
@click.argument("name", shell_complete=complete_agent)
@click.option("--since", metavar="TIME", help="Since when uses count [30d].")
@JSON
@at_organisation
def show_reach(place: Place, name: str, since: str | None, *, is_json: bool) -> None:
    """Show everything that agent NAME can do, and what of it it has used.

    What its scope gives, how each right is gated, rights that are dangerous together, and ways to
    what cannot be undone on which no person stands.
    """
    since_us = None if since is None else read_moment(since, SystemClock().now_us())
    with connect(place) as plane:
        answer = plane.get(f"/agents/{segment(name)}/reach", since_us=since_us)
    if is_json:
        say_json(with_moments(msgspec.json.decode(answer)))
        return
    say(reach_lines(msgspec.json.decode(answer, type=_View), Style.of(sys.stdout)))


def reach_lines(view: _View, style: Style) -> Iterator[str]:
    """The whole of it."""
    found = view.reach
    since = show_moment(int(view.since_us))
    rights = counted(len(found.rights), "right")
    yield f"{style.bold(harmless(view.agent))}  {rights}, uses since {since}"
    if found.rights:
        columns = [
            Column("RIGHT", paint=style.name),
            *(Column(each) for each in ("KIND", "TIER", "GATE", "LABELS", "CREDENTIAL")),
            Column("USES", is_right=True),
        ]
        yield ""
        yield from table(columns, [_row(right) for right in found.rights], style)
    for each in found.ungated:
        yield ""
        path = " → ".join(each.path)
        gate = f"gated only by {', '.join(each.only_if)}" if each.only_if else "no gate"
        yield f"{style.bad('irreversible')}  {harmless(path)}: {harmless(gate)}"
    if found.unmarked:
        yield ""
        names = harmless(", ".join(found.unmarked))
        yield f"{style.warning('unmarked')}  sounds irreversible, and no list says so: {names}"
    for danger in found.dangers:
        yield ""
        yield f"{style.warning('danger')}  {danger.what}"
        yield f"  reads: {harmless(', '.join(danger.reads))}"
        yield f"  does:  {harmless(', '.join(danger.does))}"
    if found.unused:
        yield ""
        lines = ", ".join(f"{each.key} {each.pattern}" for each in found.unused)
        yield f"declared and not used: {harmless(lines)}"
    for server in view.unlisted:
        yield f"the tools of `{harmless(server)}` were never listed, so that they are not shown"


def _row(right: Right) -> tuple[str, ...]:
    gate = _GATES[right.gate]
    return (
        right.name,
        right.kind.value,
        right.tier,
        f"{gate}: {' '.join(right.by)}" if right.gate == SOMETIMES else gate,
        " ".join(right.labels),
        right.credential,
        f"{right.uses:,}",
    )
