"""`ringfence agent token`: make, rotate, list and revoke the tokens of an agent."""

import sys

import click
import msgspec

from ringfence.cli.connection import Connection, Place, connect
from ringfence.cli.option import JSON, at_organisation, complete_agent, segment
from ringfence.cli.terminal.moment import read_duration_s, show_moment
from ringfence.cli.terminal.printing import hint, say, say_listing
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.table import Column, table
from ringfence.domain.error import UsageError


class TokenLine(msgspec.Struct):
    """A token without its secret."""

    id: str
    label: str
    created_us: str
    created_by: str
    is_live: bool
    tier: str
    revoked_us: str | None = None
    replaces: str | None = None


class _Issued(msgspec.Struct):
    id: str
    token: str


@click.command("token")
@click.argument("name", shell_complete=complete_agent)
@click.option("--label", default="", help="What the new token is for.")
@click.option(
    "--tier",
    type=click.Choice(("interactive", "api", "background")),
    default="api",
    show_default=True,
    help="How directly a person stands behind the calls made with it.",
)
@click.option("--rotate", metavar="ID", help="Put the new token in the place of this one.")
@click.option("--grace", metavar="TIME", help="With --rotate: how long the old one stays good.")
@click.option("--list", "is_list", is_flag=True, help="List the agent's tokens instead.")
@click.option("--revoke", metavar="ID", help="End this token instead.")
@JSON
@at_organisation
def token(  # noqa: PLR0913 (one for each option)
    place: Place,
    name: str,
    *,
    label: str,
    tier: str,
    rotate: str | None,
    grace: str | None,
    is_list: bool,
    revoke: str | None,
    is_json: bool,
) -> None:
    """Make a token for agent NAME and print it, alone, on standard output.

    It is shown this once: Ringfence keeps only its hash.
    """
    if sum((is_list, revoke is not None, rotate is not None)) > 1:
        raise UsageError("usage", "choose one of --list, --rotate and --revoke")
    if grace is not None and rotate is None:
        raise UsageError("usage", "--grace goes with --rotate")
    path = f"/agents/{segment(name)}/tokens"
    with connect(place) as plane:
        if is_list:
            _list(plane, path, name, is_json=is_json)
        elif revoke is not None:
            plane.delete(f"{path}/{segment(revoke)}")
            hint(f"revoked {revoke}")
        elif rotate is not None:
            order = {"label": label, "grace_s": read_duration_s(grace) if grace else 0}
            _give(plane.post(f"{path}/{segment(rotate)}/rotate", order), name, is_json=is_json)
        else:
            order = {"label": label, "tier": tier}
            _give(plane.post(path, order), name, is_json=is_json)


def token_table(tokens: list[TokenLine], style: Style) -> list[str]:
    """Tokens as a table, the oldest first."""
    headings = ("ID", "STATE", "TIER", "CREATED", "BY", "LABEL")
    rows = [
        (
            each.id,
            _state(each),
            each.tier,
            show_moment(int(each.created_us)),
            each.created_by,
            each.label,
        )
        for each in tokens
    ]
    return table([Column(each) for each in headings], rows, style)


def _give(answer: bytes, name: str, *, is_json: bool) -> None:
    issued = msgspec.json.decode(answer, type=_Issued)
    # The one secret that is ever printed: standard output holds nothing else.
    say([answer.decode() if is_json else issued.token])
    hint(f"{issued.id} for agent `{name}`; it is not shown again")


def _list(plane: Connection, path: str, name: str, *, is_json: bool) -> None:
    items = plane.listing(path)
    if is_json:
        say_listing(items)
    elif items:
        tokens = [msgspec.json.decode(item, type=TokenLine) for item in items]
        say(token_table(tokens, Style.of(sys.stdout)))
    else:
        hint(f"no tokens yet; make one with `ringfence agent token {name}`")


def _state(token: TokenLine) -> str:
    if token.revoked_us is None:
        return "live"
    when = show_moment(int(token.revoked_us))
    return f"until {when}" if token.is_live else f"revoked {when}"
