"""`ringfence key`: API keys by which people and their programs use the control plane over TCP."""

import click
import msgspec

from ringfence.cli.connection import Place, connect
from ringfence.cli.option import JSON, at_organisation, segment
from ringfence.cli.terminal.listing import say_items
from ringfence.cli.terminal.moment import show_moment
from ringfence.cli.terminal.printing import hint, say
from ringfence.cli.usage import Group
from ringfence.domain.organisation import Role


class _Key(msgspec.Struct):
    id: str
    user: str
    roles: list[str]
    label: str
    created_us: str
    revoked_us: str | None = None


class _Issued(msgspec.Struct):
    id: str
    key: str
    user: str
    roles: list[str]


@click.group(cls=Group)
def key() -> None:
    """API keys for people and their programs."""


@key.command("create")
@click.argument("user")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([role.value for role in Role]),
    help="A role of the user's that the key carries; may be repeated [all of them].",
)
@click.option("--label", default="", help="What the key is for.")
@at_organisation
def create(place: Place, user: str, roles: tuple[str, ...], label: str) -> None:
    """Make a key for USER and print it, alone, on standard output. It is shown this once."""
    with connect(place) as plane:
        answer = plane.post("/keys", {"user": user, "roles": list(roles), "label": label})
    issued = msgspec.json.decode(answer, type=_Issued)
    say([issued.key])
    hint(f"{issued.id}: {issued.user} with {', '.join(issued.roles)}; it is not shown again")


@key.command("list")
@JSON
@at_organisation
def list_(place: Place, *, is_json: bool) -> None:
    """List keys, without their secrets."""
    with connect(place) as plane:
        items = plane.listing("/keys")
    say_items(
        items,
        _Key,
        _row,
        ("ID", "USER", "ROLES", "CREATED", "STATE", "LABEL"),
        is_json=is_json,
        nothing="no keys yet; make one with `ringfence key create USER`",
    )


def _row(each: _Key) -> tuple[str, ...]:
    return (
        each.id,
        each.user,
        " ".join(each.roles),
        show_moment(int(each.created_us)),
        "live" if each.revoked_us is None else "revoked",
        each.label,
    )


@key.command("revoke")
@click.argument("id", metavar="ID")
@at_organisation
def revoke(place: Place, id: str) -> None:  # noqa: A002 (the word of the command line)
    """End a key now."""
    with connect(place) as plane:
        plane.delete(f"/keys/{segment(id)}")
    hint(f"revoked {id}")
