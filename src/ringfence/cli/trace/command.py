"""`ringfence trace`: list traces, and show one as a tree."""

import sys

import click
import msgspec

from ringfence.analysis.branch import Branch
from ringfence.analysis.reliability import Outlook
from ringfence.analysis.undo import Undo
from ringfence.cli.connection import Connection, Place, connect
from ringfence.cli.option import JSON, at_organisation, complete_agent, segment
from ringfence.cli.reliability import outlook_lines
from ringfence.cli.terminal.moment import read_moment, show_moment
from ringfence.cli.terminal.printing import hint, say, say_json, say_listing
from ringfence.cli.terminal.style import Style, terminal_width
from ringfence.cli.terminal.table import Column, table
from ringfence.cli.trace.rendering import render
from ringfence.cli.trace.step import dollars
from ringfence.cli.trace.undoing import undo_lines
from ringfence.cli.usage import Group
from ringfence.domain.error import RingfenceError, UsageError
from ringfence.domain.invocation import InvocationState
from ringfence.transport.clock import SystemClock

_LISTED = 20


class _Line(msgspec.Struct):
    id: str
    agent_name: str
    state: str
    opened_us: str
    steps: int
    refusals: int
    cost_nano: str
    task: str
    sandbox_tier: str = ""


class _Agent(msgspec.Struct):
    owner: str = ""


class _AgentView(msgspec.Struct):
    agent: _Agent


class _Expected(msgspec.Struct):
    outlook: Outlook | None


@click.group(cls=Group)
def trace() -> None:
    """What agents did, step by step."""


@trace.command("list")
@click.option("--agent", metavar="NAME", shell_complete=complete_agent, help="Of this agent.")
@click.option("--state", type=click.Choice([each.value for each in InvocationState]))
@click.option("--since", metavar="TIME", help="`2h` ago, `7d` ago, or a date or time.")
@click.option("--until", metavar="TIME", help="The same.")
@click.option("--limit", type=click.IntRange(min=1), default=_LISTED, show_default=True)
@JSON
@at_organisation
def list_(  # noqa: PLR0913 (one for each option)
    place: Place,
    *,
    agent: str | None,
    state: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    is_json: bool,
) -> None:
    """List traces, the newest first."""
    now_us = SystemClock().now_us()
    with connect(place) as plane:
        items = plane.listing(
            "/traces",
            limit,
            agent=agent,
            state=state,
            since_us=None if since is None else read_moment(since, now_us),
            until_us=None if until is None else read_moment(until, now_us),
        )
    if is_json:
        say_listing(items)
    elif items:
        say(_listing([msgspec.json.decode(item, type=_Line) for item in items]))
    else:
        hint("no traces")


@trace.command("show")
@click.argument("id", metavar="ID", required=False)
@click.option("--last", "is_last", is_flag=True, help="The newest trace, instead of ID.")
@click.option(
    "--agent", metavar="NAME", shell_complete=complete_agent, help="With --last: of this agent."
)
@click.option("--full", "is_full", is_flag=True, help="The whole context of every step.")
@JSON
@at_organisation
def show(  # noqa: PLR0913 (one for each word of the command line)
    place: Place,
    *,
    id: str | None,  # noqa: A002 (the word of the command line)
    is_last: bool,
    agent: str | None,
    is_full: bool,
    is_json: bool,
) -> None:
    """Show what an invocation did. ID is that of an invocation or of one of its actions."""
    if is_last == (id is not None) or (agent is not None and not is_last):
        raise UsageError("usage", "name a trace: its ID, or --last, or --last --agent NAME")
    with connect(place) as plane:
        identifier = id or _newest(plane, agent)
        content = "all" if is_full or is_json else "new"
        answer = plane.get(f"/traces/{segment(identifier)}", content=content)
        if is_json:
            say_json(msgspec.Raw(answer))
            return
        branch = msgspec.json.decode(answer, type=Branch)
        owner = _owner(plane, branch)
        expected = plane.get(f"/traces/{segment(identifier)}/reliability")
    style = Style.of(sys.stdout)
    say(render(branch, style, terminal_width(), owner=owner, is_full=is_full))
    seen = msgspec.json.decode(expected, type=_Expected).outlook
    if seen is not None:
        say(["", *outlook_lines(seen, style)])


@trace.command("undo")
@click.argument("identifier", metavar="ID")
@click.option("--apply", "is_applied", is_flag=True, help="Undo it; each call waits for approval.")
@click.option(
    "--action", "actions", multiple=True, help="With --apply: only this one; may be repeated."
)
@JSON
@at_organisation
def undo(
    place: Place, *, identifier: str, is_applied: bool, actions: tuple[str, ...], is_json: bool
) -> None:
    """Propose how to undo a trace, or one action: the last first, and what cannot be undone.

    Without --apply nothing is done. With it the calls are made one after the other, like any of
    the agent's: policies decide, and each waits until somebody approves it (`ringfence approval`).
    """
    if actions and not is_applied:
        raise UsageError("undo_action", "`--action` needs `--apply`")
    path = f"/traces/{segment(identifier)}/undo"
    with connect(place) as plane:
        answer = plane.post(path, {"actions": actions}) if is_applied else plane.get(path)
    if is_json:
        say_json(msgspec.Raw(answer))
        return
    found = msgspec.json.decode(answer, type=_Plan).steps
    if not found:
        hint("nothing that it did changed anything")
        return
    say(undo_lines(found, Style.of(sys.stdout)))
    if is_applied:
        hint("each waits for approval, one after the other: `ringfence approval list`")


class _Plan(msgspec.Struct):
    steps: list[Undo]


def _newest(plane: Connection, agent: str | None) -> str:
    items = plane.listing("/traces", 1, agent=agent)
    if not items:
        raise UsageError("trace_unknown", "there is no trace yet")
    return msgspec.json.decode(items[0], type=_Line).id


def _owner(plane: Connection, branch: Branch) -> str:
    """Whose agent it is; empty for one that is not registered any more."""
    try:
        answer = plane.get(f"/agents/{segment(branch.agent_name)}")
    except RingfenceError:
        return ""
    return msgspec.json.decode(answer, type=_AgentView).agent.owner


def _listing(lines: list[_Line]) -> list[str]:
    style = Style.of(sys.stdout)
    has_sandbox = any(each.sandbox_tier for each in lines)
    columns = [
        Column("ID"),
        Column("AGENT", paint=style.name),
        Column("OPENED"),
        Column("STATE"),
        *([Column("SANDBOX")] if has_sandbox else []),
        Column("STEPS", is_right=True),
        Column("REFUSALS", is_right=True),
        Column("COST", is_right=True),
        Column("TASK"),
    ]
    rows = [
        (
            each.id,
            each.agent_name,
            show_moment(int(each.opened_us)),
            each.state,
            *([each.sandbox_tier] if has_sandbox else []),
            str(each.steps),
            str(each.refusals or ""),
            dollars(each.cost_nano),
            each.task,
        )
        for each in lines
    ]
    return table(columns, rows, style, fits=terminal_width() if sys.stdout.isatty() else None)
