"""A listing of the API as people or programs read it: a table, JSON, or that there is nothing."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from ringfence.cli.terminal.printing import hint, say, say_listing
from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.table import Column, table

Item = TypeVar("Item")


def say_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under plain headings."""
    say(table([Column(each) for each in headings], rows, Style.of(sys.stdout)))


def say_items(  # noqa: PLR0913 (a listing has these parts)
    items: Sequence[msgspec.Raw],
    kind: type[Item],
    row: Callable[[Item], Sequence[str]],
    headings: Sequence[str],
    *,
    is_json: bool,
    nothing: str,
) -> None:
    """A listing: as JSON, as a table with a row for each item, or what to say of none."""
    if is_json:
        say_listing(items)
    elif items:
        say_table(headings, [row(msgspec.json.decode(each, type=kind)) for each in items])
    else:
        hint(nothing)
