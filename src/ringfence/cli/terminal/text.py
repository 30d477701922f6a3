"""Foreign text made harmless and laid out by the cells it takes on a terminal."""

import unicodedata
from collections.abc import Iterator

_CONTROL_PICTURES = 0x2400
_DELETE = 0x7F
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
_WIDE = frozenset("WF")
_ZERO_WIDTH = frozenset({"Mn", "Me", "Cf"})
_TAB = "    "


def harmless(text: str) -> str:
    r"""One line that no terminal obeys.

    Control characters become their pictures (`␛`), whatever else is invisible or turns the
    direction of writing becomes `\u{…}`; only the joiners that emoji and scripts need stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if is_plain(character) else _shown(character) for character in text)


def harmless_lines(text: str) -> list[str]:
    """The lines of a text, each harmless; tabs become spaces."""
    whole = text.replace("\r\n", "\n").replace("\t", _TAB)
    return [harmless(line) for line in whole.split("\n")]


def counted(count: int, noun: str) -> str:
    """A number of things: `1 log`, `12,345 logs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def is_plain(character: str) -> bool:
    """Whether a character shows as itself and does nothing else."""
    return unicodedata.category(character) not in _INVISIBLE or character in _JOINERS


def width(text: str) -> int:
    """How many cells a harmless text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def cut(text: str, cells: int) -> str:
    """The beginning of a text that fits, with `…` in place of what does not."""
    if width(text) <= cells:
        return text
    kept, used = [], 1
    for character in text:
        used += _cells(character)
        if used > cells:
            break
        kept.append(character)
    return "".join(kept) + "…" if cells > 0 else ""


def pad(text: str, cells: int) -> str:
    """The text with spaces behind it up to so many cells."""
    return text + " " * (cells - width(text))


def wrap(line: str, cells: int) -> Iterator[str]:
    """One line in pieces of at most `cells`, broken at spaces where there are any.

    The spaces at its beginning are kept, so that code stays readable.
    """
    rest = line
    while width(rest) > cells > 0:
        end = _fitting(rest, cells)
        space = rest.rfind(" ", 0, end + 1)
        if space > 0 and rest[:space].strip():
            yield rest[:space]
            rest = rest[space + 1 :]
        else:
            yield rest[:end]
            rest = rest[end:]
    yield rest


def _fitting(text: str, cells: int) -> int:
    """How many characters fit; at least one, so that wrapping ends."""
    used = 0
    for index, character in enumerate(text):
        used += _cells(character)
        if used > cells:
            return max(index, 1)
    return len(text)


def _shown(character: str) -> str:
    code = ord(character)
    if code < ord(" "):
        return chr(_CONTROL_PICTURES + code)
    return "␡" if code == _DELETE else f"\\u{{{code:x}}}"


def _cells(character: str) -> int:
    if unicodedata.category(character) in _ZERO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
