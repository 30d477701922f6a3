"""`ringfence approval`: what waits for a person, and the answer to it."""

import sys

import click
import msgspec

from ringfence.cli.connection import Place, connect
from ringfence.cli.option import JSON, at_organisation, segment
from ringfence.cli.terminal.moment import show_moment
from ringfence.cli.terminal.printing import hint, say, say_json, say_listing
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.table import Column, table
from ringfence.cli.terminal.text import harmless
from ringfence.cli.usage import Group
from ringfence.domain.approval import ApprovalState

_LISTED = 50


class _Line(msgspec.Struct):
    id: str
    state: str
    agent_name: str
    resource: str
    reasons: list[str]
    created_us: str
    expires_us: str
    votes: int
    quorum: int


class _Vote(msgspec.Struct):
    user: str
    approves: bool
    at_us: str
    comment: str


class _Approval(msgspec.Struct):
    id: str
    state: str
    agent_name: str
    owner: str
    purpose: str
    user: str
    invocation: str
    resource: str
    arguments: str
    reasons: list[str]
    fingerprint: str
    created_us: str
    expires_us: str
    quorum: int
    votes: list[_Vote]
    action: str


@click.group(cls=Group)
def approval() -> None:
    """Calls that wait for a person: see them, approve or deny them."""


@approval.command("list")
@click.option(
    "--state",
    type=click.Choice([*(each.value for each in ApprovalState), "all"]),
    default=ApprovalState.PENDING.value,
    show_default=True,
)
@click.option("--limit", type=click.IntRange(min=1), default=_LISTED, show_default=True)
@JSON
@at_organisation
def list_(place: Place, *, state: str, limit: int, is_json: bool) -> None:
    """List held calls, the newest first."""
    with connect(place) as plane:
        items = plane.listing("/approvals", limit, state=None if state == "all" else state)
    if is_json:
        say_listing(items)
        return
    lines = [msgspec.json.decode(item, type=_Line) for item in items]
    if not lines:
        hint("nothing waits for an approval" if state == "pending" else "no such approvals")
        return
    headings = ("ID", "STATE", "AGENT", "WANTS", "WHY", "EXPIRES")
    rows = [
        (
            each.id,
            _state(each.state, each.votes, each.quorum),
            each.agent_name,
            each.resource,
            "; ".join(each.reasons),
            show_moment(int(each.expires_us)),
        )
        for each in lines
    ]
    say(table([Column(each) for each in headings], rows, Style.of(sys.stdout)))


@approval.command("show")
@click.argument("id", metavar="ID")
@JSON
@at_organisation
def show(place: Place, *, id: str, is_json: bool) -> None:  # noqa: A002 (the word of the command line)
    """Show exactly what would be done, for whom, and why it is held."""
    with connect(place) as plane:
        answer = plane.get(f"/approvals/{segment(id)}")
    if is_json:
        say_json(msgspec.Raw(answer))
        return
    say(_sheet(msgspec.json.decode(answer, type=_Approval)))


@approval.command("approve")
@click.argument("id", metavar="ID")
@click.option(
    "--comment", default="", help="Why; for a question of an agent, the answer that it gets."
)
@click.option("--fingerprint", default="", help="Approve only if it is still what you were shown.")
@JSON
@at_organisation
def approve(
    place: Place,
    *,
    id: str,  # noqa: A002 (the word of the command line)
    comment: str,
    fingerprint: str,
    is_json: bool,
) -> None:
    """Let a held call happen, once and exactly as `show` tells it."""
    _answer(place, id, "approve", {"comment": comment, "fingerprint": fingerprint}, is_json=is_json)


@approval.command("deny")
@click.argument("id", metavar="ID")
@click.option("--comment", default="", help="Why; the agent is told.")
@JSON
@at_organisation
def deny(place: Place, *, id: str, comment: str, is_json: bool) -> None:  # noqa: A002 (likewise)
    """Refuse a held call, or take back an approval that was not used yet."""
    _answer(place, id, "deny", {"comment": comment}, is_json=is_json)


def _answer(place: Place, id_: str, verb: str, body: dict[str, str], *, is_json: bool) -> None:
    with connect(place) as plane:
        answer = plane.post(f"/approvals/{segment(id_)}/{verb}", body)
    if is_json:
        say_json(msgspec.Raw(answer))
        return
    found = msgspec.json.decode(answer, type=_Approval)
    votes = sum(each.approves for each in found.votes)
    hint(f"{found.id}: {_state(found.state, votes, found.quorum)}")


def _state(state: str, votes: int, quorum: int) -> str:
    return f"{state} {votes}/{quorum}" if quorum > 1 else state


def _sheet(found: _Approval) -> list[str]:
    votes = sum(each.approves for each in found.votes)
    facts = [
        ("approval", f"{found.id}  {_state(found.state, votes, found.quorum)}"),
        ("agent", f"{found.agent_name} (owner {found.owner or 'unknown'})"),
        ("purpose", found.purpose),
        ("acts for", found.user),
        ("wants", found.resource),
        ("because", "; ".join(found.reasons)),
        ("asked", show_moment(int(found.created_us))),
        ("expires", show_moment(int(found.expires_us))),
        ("run", f"{found.invocation}  (ringfence trace show {found.invocation})"),
        ("fingerprint", found.fingerprint),
        ("used by", found.action),
        *(
            (
                "approved by" if each.approves else "denied by",
                f"{each.user} at {show_moment(int(each.at_us))}"
                + (f": {each.comment}" if each.comment else ""),
            )
            for each in found.votes
        ),
    ]
    lines = [f"{name:<12} {harmless(value)}" for name, value in facts if value]
    return [*lines, "arguments", *(f"  {harmless(each)}" for each in _arguments(found.arguments))]


def _arguments(text: str) -> list[str]:
    """The arguments as they are: another layout could hide what is in them."""
    return text.splitlines() or [""]
