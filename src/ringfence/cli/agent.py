"""`ringfence agent`: agents, and whether they are let in."""

import sys

import click
import msgspec

from ringfence.analysis.reliability import Reliability
from ringfence.cli.budget import BudgetLine, budget_table
from ringfence.cli.connection import Place, connect
from ringfence.cli.option import JSON, at_organisation, complete_agent, segment
from ringfence.cli.reach import show_reach
from ringfence.cli.reliability import reliability_lines
from ringfence.cli.terminal.moment import show_moment
from ringfence.cli.terminal.printing import hint, say, say_json, say_listing, with_moments
from ringfence.cli.terminal.style import Style, terminal_width
from ringfence.cli.terminal.table import Column, table
from ringfence.cli.terminal.text import harmless
from ringfence.cli.token import TokenLine, token, token_table
from ringfence.cli.usage import Group
from ringfence.domain.error import UsageError


class _Line(msgspec.Struct):
    id: str
    name: str
    state: str
    owner: str = ""
    team: str | None = None
    category: str | None = None
    purpose: str = ""
    version: str = ""


class _Scope(msgspec.Struct):
    models: list[str]
    tools: list[str]
    hosts: list[str]
    commands: list[str]


class _View(msgspec.Struct):
    agent: _Line
    state_changed_us: str
    state_changed_by: str
    scope: _Scope | None
    limits: dict[str, int | None] | None
    escalate_to: str
    sandbox: str | None
    budgets: list[BudgetLine] | None
    credentials: list[TokenLine]


class _Measured(msgspec.Struct):
    measured: Reliability | None


@click.group(cls=Group)
def agent() -> None:
    """Agents and their tokens."""


agent.add_command(token)
agent.add_command(show_reach)


@agent.command("list")
@JSON
@at_organisation
def list_(place: Place, *, is_json: bool) -> None:
    """List agents by name, also those that no file names any more."""
    with connect(place) as plane:
        items = plane.listing("/agents")
    if is_json:
        say_listing(items)
        return
    style = Style.of(sys.stdout)
    headings = ("STATE", "OWNER", "TEAM", "CATEGORY", "PURPOSE")
    columns = [Column("NAME", paint=style.name), *(Column(each) for each in headings)]
    lines = [msgspec.json.decode(item, type=_Line) for item in items]
    rows = [
        (each.name, each.state, each.owner, each.team or "", each.category or "", each.purpose)
        for each in lines
    ]
    say(table(columns, rows, style, fits=terminal_width() if sys.stdout.isatty() else None))


@agent.command("show")
@click.argument("name", shell_complete=complete_agent)
@JSON
@at_organisation
def show(place: Place, name: str, *, is_json: bool) -> None:
    """Show one agent: what it may do, what is left, its tokens, how reliable its runs are."""
    with connect(place) as plane:
        answer = plane.get(f"/agents/{segment(name)}")
        measured = plane.get(f"/agents/{segment(name)}/reliability")
    if is_json:
        documents = {**msgspec.json.decode(answer), **msgspec.json.decode(measured)}
        documents["reliability"] = documents.pop("measured")
        say_json(with_moments(documents))
        return
    style = Style.of(sys.stdout)
    say(_shown(msgspec.json.decode(answer, type=_View), style))
    known = msgspec.json.decode(measured, type=_Measured).measured
    if known is not None:
        say(["", *reliability_lines(known, style)])


@agent.command("suspend")
@click.argument("name", shell_complete=complete_agent)
@at_organisation
def suspend(place: Place, name: str) -> None:
    """Refuse everything that agent NAME asks for, at once, until it is resumed."""
    _change(place, name, "suspend")


@agent.command("resume")
@click.argument("name", shell_complete=complete_agent)
@at_organisation
def resume(place: Place, name: str) -> None:
    """Let a suspended agent in again."""
    _change(place, name, "resume")


@agent.command("retire")
@click.argument("name", shell_complete=complete_agent)
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@at_organisation
def retire(place: Place, name: str, *, is_sure: bool) -> None:
    """End an agent for good: it cannot be resumed, and its name is not free again."""
    if not is_sure and not sys.stdin.isatty():
        raise UsageError("not_confirmed", f"retiring `{name}` is for good", help="say --yes")
    if not is_sure:
        click.confirm(f"Retire agent `{harmless(name)}` for good?", abort=True)
    _change(place, name, "retire")


def _change(place: Place, name: str, change: str) -> None:
    with connect(place) as plane:
        answer = plane.post(f"/agents/{segment(name)}/{change}")
    changed = msgspec.json.decode(answer, type=_Line)
    hint(f"agent `{changed.name}` is {changed.state}")


def _shown(view: _View, style: Style) -> list[str]:
    line = view.agent
    facts = {
        "id": line.id,
        "state": f"{line.state} since {show_moment(int(view.state_changed_us))}, "
        f"by {view.state_changed_by}",
        "owner": line.owner,
        "ask": view.escalate_to,
        "team": line.team or "",
        "category": line.category or "",
        "version": line.version,
        "purpose": line.purpose,
        **_scope(view.scope),
        "sandbox": f"at least {view.sandbox}" if view.sandbox else "",
        "limits": _limits(view.limits),
    }
    lines = [style.bold(harmless(line.name))]
    lines += [
        f"  {style.dim(f'{name:<9}')} {harmless(text)}" for name, text in facts.items() if text
    ]
    if view.budgets is None:
        lines += ["", style.dim("budgets are known while the plane is running")]
    elif view.budgets:
        lines += ["", *budget_table(view.budgets, style)]
    if view.credentials:
        lines += ["", *token_table(view.credentials, style)]
    return lines


def _scope(scope: _Scope | None) -> dict[str, str]:
    if scope is None:
        return {"scope": "no file names this agent any more"}
    return {
        "models": ", ".join(scope.models),
        "tools": ", ".join(scope.tools),
        "hosts": ", ".join(scope.hosts),
        "commands": ", ".join(scope.commands),
    }


def _limits(limits: dict[str, int | None] | None) -> str:
    known = {name: value for name, value in (limits or {}).items() if value is not None}
    return ", ".join(f"{name} {value:,}" for name, value in known.items())
