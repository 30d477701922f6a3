"""`ringfence user`: users, and the tokens with which agents act for them."""

import click
import msgspec

from ringfence.cli.connection import Connection, Place, connect
from ringfence.cli.option import JSON, at_organisation, segment
from ringfence.cli.terminal.listing import say_items
from ringfence.cli.terminal.moment import read_duration_s, show_moment
from ringfence.cli.terminal.printing import hint, say
from ringfence.cli.usage import Group
from ringfence.domain.error import UsageError


class _User(msgspec.Struct):
    name: str
    roles: list[str]
    models: list[str] | None
    tools: list[str] | None
    calls_per_minute: int | None


class _Token(msgspec.Struct):
    id: str
    label: str
    created_us: str
    created_by: str
    is_live: bool
    ends_us: str


class _Issued(msgspec.Struct):
    id: str
    token: str
    user: str
    ends_us: str


@click.group(cls=Group)
def user() -> None:
    """Users, and the tokens with which agents act for them."""


@user.command("list")
@JSON
@at_organisation
def list_(place: Place, *, is_json: bool) -> None:
    """List the users of the configuration: roles, and what agents may do on their behalf."""
    with connect(place) as plane:
        items = plane.listing("/users")
    say_items(
        items,
        _User,
        _row,
        ("NAME", "ROLES", "MODELS", "TOOLS", "CALLS/MIN"),
        is_json=is_json,
        nothing="no users; name some in the configuration, under `users`",
    )


def _row(each: _User) -> tuple[str, ...]:
    return (
        each.name,
        " ".join(each.roles),
        _bound(each.models),
        _bound(each.tools),
        "" if each.calls_per_minute is None else str(each.calls_per_minute),
    )


@user.command("token")
@click.argument("name")
@click.option("--label", default="", help="What the new token is for.")
@click.option("--expires", metavar="TIME", help="How long it lasts, such as `8h` [30d].")
@click.option("--list", "is_list", is_flag=True, help="List the user's tokens instead.")
@click.option("--revoke", metavar="ID", help="End this token, and what runs by it, instead.")
@JSON
@at_organisation
def token(  # noqa: PLR0913 (one for each option)
    place: Place,
    name: str,
    *,
    label: str,
    expires: str | None,
    is_list: bool,
    revoke: str | None,
    is_json: bool,
) -> None:
    """Make a token for user NAME and print it, alone, on standard output.

    An agent that shows it as `on_behalf_of` acts for the user, within the rights of both.
    """
    if is_list and revoke is not None:
        raise UsageError("usage", "choose one of --list and --revoke")
    path = f"/users/{segment(name)}/tokens"
    with connect(place) as plane:
        if is_list:
            _list(plane, path, name, is_json=is_json)
        elif revoke is not None:
            plane.delete(f"{path}/{segment(revoke)}")
            hint(f"revoked {revoke}")
        else:
            order: dict[str, str | int] = {"label": label}
            if expires is not None:
                order["expires_s"] = read_duration_s(expires)
            _give(plane.post(path, order), is_json=is_json)


def _give(answer: bytes, *, is_json: bool) -> None:
    issued = msgspec.json.decode(answer, type=_Issued)
    say([answer.decode() if is_json else issued.token])
    ends = show_moment(int(issued.ends_us))
    hint(f"{issued.id} for user `{issued.user}` until {ends}; it is not shown again")


def _list(plane: Connection, path: str, name: str, *, is_json: bool) -> None:
    say_items(
        plane.listing(path),
        _Token,
        _token_row,
        ("ID", "STATE", "CREATED", "BY", "LABEL"),
        is_json=is_json,
        nothing=f"no tokens yet; make one with `ringfence user token {name}`",
    )


def _token_row(each: _Token) -> tuple[str, ...]:
    return (each.id, _state(each), show_moment(int(each.created_us)), each.created_by, each.label)


def _state(token: _Token) -> str:
    return f"{'until' if token.is_live else 'ended'} {show_moment(int(token.ends_us))}"


def _bound(names: list[str] | None) -> str:
    return "all the agent's" if names is None else ", ".join(names) or "none"
