"""`ringfence secret`: values that agents' requests need and no agent sees."""

import difflib
import sys
from typing import Final

import click
import msgspec

from ringfence.cli.connection import Place, connect
from ringfence.cli.option import JSON, at_organisation, segment
from ringfence.cli.terminal.listing import say_items
from ringfence.cli.terminal.moment import show_moment
from ringfence.cli.terminal.printing import hint
from ringfence.cli.usage import Group
from ringfence.domain.error import UsageError
from ringfence.transport.core_dump import forbid_core_dumps

_MOST_BYTES: Final = 64 * 1024


class _Secret(msgspec.Struct):
    name: str
    origin: str = ""
    hosts: list[str] = []
    uses: list[str] = []
    agents: list[str] = []
    generation: int | None = None
    changed_us: str | None = None
    changed_by: str | None = None
    trouble: str = ""


class _Renewed(msgspec.Struct):
    secrets: int


@click.group(cls=Group)
def secret() -> None:
    """Secrets that are added to agents' requests; no command shows a value."""


@secret.command("set")
@click.argument("name")
@click.argument("given", nargs=-1, metavar="")
@at_organisation
def set_(place: Place, name: str, given: tuple[str, ...]) -> None:
    """Store the value of secret NAME, read from a prompt or from standard input.

    Whoever uses it uses the new value when this returns. A line end at the very end is left out.
    """
    if given:
        raise UsageError(
            "secret_shown",
            "a value is never given on the command line, where others can read it",
            help=f"leave it out and be asked, or pipe it: … | ringfence secret set {name}",
        )
    _store(place, name, is_rotation=False)


@secret.command("rotate")
@click.argument("name", required=False)
@click.option("--key", "is_key", is_flag=True, help="Renew the key that all are encrypted with.")
@at_organisation
def rotate(place: Place, name: str | None, *, is_key: bool) -> None:
    """Put another value in the place of secret NAME, as `set` does; or renew the key itself."""
    if is_key == (name is not None):
        raise UsageError("usage", "give the name of a secret, or `--key`")
    if name is not None:
        _store(place, name, is_rotation=True)
        return
    with connect(place) as plane:
        renewed = msgspec.json.decode(plane.post("/secret-key"), type=_Renewed)
    hint(f"{renewed.secrets} encrypted with a fresh key; the one before is forgotten")


@secret.command("list")
@JSON
@at_organisation
def list_(place: Place, *, is_json: bool) -> None:
    """List secrets: where they come from, where they go and who uses them."""
    with connect(place) as plane:
        items = plane.listing("/secrets")
    say_items(
        items,
        _Secret,
        _row,
        ("NAME", "FROM", "FOR", "AGENTS", "CHANGED", "STATE"),
        is_json=is_json,
        nothing="no secrets yet; name one in the configuration, under `secrets`",
    )


def _row(each: _Secret) -> tuple[str, ...]:
    return (
        each.name,
        each.origin or "stored, not configured",
        ", ".join([*each.hosts, *each.uses]),
        " ".join(each.agents),
        show_moment(int(each.changed_us)) if each.changed_us else "",
        each.trouble or "ok",
    )


@secret.command("delete")
@click.argument("name")
@at_organisation
def delete(place: Place, name: str) -> None:
    """Forget the stored value of secret NAME; nobody uses it any more when this returns."""
    with connect(place) as plane:
        plane.delete(f"/secrets/{segment(name)}")
    hint(f"deleted {name}")


def _store(place: Place, name: str, *, is_rotation: bool) -> None:
    forbid_core_dumps()
    # Never an argument: those of a process can be read by everybody on the machine.
    value = _read_value(name)
    with connect(place) as plane:
        body = {"value": value, "is_rotation": is_rotation}
        answer = plane.post(f"/secrets/{segment(name)}", body)
    stored = msgspec.json.decode(answer, type=_Secret)
    hint(f"stored {name}, value number {stored.generation}")
    if not stored.origin:
        hint("the configuration does not name it yet: `secrets: {" + name + ": {stored: true}}`")
        known = {each for each in _names(place) if each != name}
        near = difflib.get_close_matches(name, known, n=1)
        if near:
            hint(f"if you meant `{near[0]}`: `ringfence secret delete {name}`, and set that")


def _names(place: Place) -> list[str]:
    """Those that the configuration names."""
    with connect(place) as plane:
        items = [msgspec.json.decode(each, type=_Secret) for each in plane.listing("/secrets")]
    return [each.name for each in items if each.origin]


def _read_value(name: str) -> str:
    if sys.stdin.isatty():
        value: str = click.prompt(f"value of {name}", hide_input=True, confirmation_prompt=True)
        return value
    data = sys.stdin.buffer.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise UsageError("secret_too_large", f"the value is over {_MOST_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UsageError("secret_text", "the value is not UTF-8") from None
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        help_ = f'printf %s "$VALUE" | ringfence secret set {name}'
        raise UsageError("secret_empty", "there is no value", help=help_)
    return value
