"""Rows in columns, without lines around them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ringfence.cli.terminal.style import Paint, Style
from ringfence.cli.terminal.text import cut, harmless, pad, width

_GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, on which side its cells stand, and how they are set off."""

    heading: str
    is_right: bool = False
    paint: Paint | None = None


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    style: Style,
    *,
    fits: int | None = None,
) -> list[str]:
    """The lines of a table. The last column is cut where a line would be wider than `fits`."""
    cells = [[harmless(cell) for cell in row] for row in rows]
    widths = [
        max([width(column.heading), *(width(row[index]) for row in cells)])
        for index, column in enumerate(columns)
    ]
    if fits is not None:
        before = sum(widths[:-1]) + len(_GAP) * (len(columns) - 1)
        widths[-1] = min(widths[-1], max(fits - before, width(columns[-1].heading)))
    heading = [style.dim(_place(each.heading, each, widths[at])) for at, each in enumerate(columns)]
    body = [[_cell(*each) for each in zip(row, columns, widths, strict=True)] for row in cells]
    lines = [heading, *body]
    return [_GAP.join(line).rstrip() for line in lines]


def _cell(text: str, column: Column, cells: int) -> str:
    shown = cut(text, cells)
    placed = _place(shown, column, cells)
    return placed if column.paint is None else placed.replace(shown, column.paint(shown), 1)


def _place(text: str, column: Column, cells: int) -> str:
    return " " * (cells - width(text)) + text if column.is_right else pad(text, cells)
