r"""A text as it reads when what was done to it on its way is undone: escapes, and wraps of lines.

Numbered escapes (`%41`, `\u0041`, `\x41`, `&#65;`), what escapes these in turn (`%25`, `\\`,
`&amp;`), and ends of line within base64 or hexadecimal text.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

_DEPTH: Final = 3
"""An escape of an escape of an escape is undone; nobody means more."""
_LONGEST: Final = 9
r"""The longest way to write one byte by its number: `&#x0041;`, and one more to be sure."""
_CUT_SHORT: Final = re.compile(
    rb"(?:%[0-9A-Fa-f]?"
    rb"|\\(?:\\|r\\?|u(?:0(?:0[0-9A-Fa-f]?)?)?|x[0-9A-Fa-f]?)?"
    rb"|&(?:#(?:[xX]?[0-9A-Fa-f]{0,5})?|a(?:m(?:p(?:;(?:a(?:mp?)?)?)?)?)?)?|\r)\Z"
)
"""An escape that the next bytes may complete, or decide what it is."""
_LINE: Final = rb"[A-Za-z0-9+/_=-]{20}"
"""So much of base64 or hexadecimal text before an end of line, and it is one that wraps it."""
_LINE_BYTES: Final = 20
_IN_LINE: Final = frozenset(
    bytes((byte,)) for byte in range(128) if chr(byte).isalnum() or chr(byte) in "+/_=-"
)
_RUN: Final = re.compile(rb"[A-Za-z0-9+/_=-]{1,20}\Z")
_PERCENT, _BACKSLASH, _AMPERSAND, _NEWLINE, _RETURN = b"%\\&\n\r"
"""As numbers: CPython looks for bytes in bytes by way of an exception."""
_ESCAPING: Final = frozenset(b"%\\&\r\n")
"""What begins an escape, or wraps, and may itself have been escaped."""

_DIGITS: Final = "0123456789abcdefABCDEF"
_BYTES: Final = {
    (high + low).encode(): bytes((int(high + low, 16),)) for high in _DIGITS for low in _DIGITS
}

Token = tuple[int, int, bytes]
"""Start, end and meaning of something that does not mean itself."""


@final
class View:
    """A text that was read once more, and where each of its bytes was.

    What an escape at the very end leaves open is not in it: that begins at `cut`, in what was read.
    """

    __slots__ = ("_indices", "_inner", "_places", "cut", "text")

    def __init__(
        self, inner: "View | None", text: bytes, cut: int, tokens: Sequence[Token]
    ) -> None:
        """Read a text, or what an `inner` view made of it, up to `cut`."""
        self._inner = inner
        self.cut = cut if inner is None else inner.place(cut)
        self._indices: list[int] = []
        self._places: list[int] = []
        parts: list[bytes] = []
        at = length = 0
        for start, end, meaning in tokens:
            if end > cut:
                break
            parts += [text[at:start], meaning]
            length += start - at + len(meaning)
            at = end
            self._indices.append(length)
            self._places.append(at)
        self.text = b"".join([*parts, text[at:cut]])

    def place(self, index: int) -> int:
        """Where a byte of the view was in the text."""
        known = bisect_right(self._indices, index) - 1
        place = index if known < 0 else self._places[known] + index - self._indices[known]
        return place if self._inner is None else self._inner.place(place)

    def index(self, place: int) -> int:
        """Where a byte of the text is in the view; of one within an escape, where that is."""
        if self._inner is not None:
            place = self._inner.index(place)
        known = bisect_right(self._places, place) - 1
        low = 0 if known < 0 else self._indices[known]
        found = place if known < 0 else low + place - self._places[known]
        is_last = known + 1 >= len(self._indices)
        # Whatever takes the place of an escape is one byte, or none.
        nearest = len(self.text) if is_last else self._indices[known + 1] - 1
        return min(max(found, low), max(nearest, low))


@final
@dataclass(frozen=True, slots=True)
class Escapes:
    """What could stand for a byte of a secret, or hide one."""

    percent: re.Pattern[bytes]
    backslash: re.Pattern[bytes]
    ampersand: re.Pattern[bytes]

    @classmethod
    def of(cls, alphabet: frozenset[int]) -> "Escapes":
        """Those that matter for texts of these bytes."""
        bytes_ = sorted(alphabet | _ESCAPING)
        pairs = "|".join(sorted(_any_case(f"{byte:02x}") for byte in bytes_))
        numbers = "|".join(sorted(str(byte) for byte in bytes_))
        line = _LINE.decode()
        return cls(
            percent=re.compile(f"%({pairs})".encode()),
            backslash=re.compile(
                (
                    rf"\\(?:(\\(?=[\\/ux\"nr]))|(?:u00|x)({pairs})"
                    rf"|n(?<={line}\\n)|r\\n(?<={line}\\r\\n))"
                ).encode()
            ),
            ampersand=re.compile(
                (
                    rf"&(?:(amp;)(?=#|amp;)"
                    rf"|#(?:[xX]0{{0,3}}({pairs})|0{{0,2}}({numbers}));)"
                ).encode()
            ),
        )

    def views(self, text: bytes, *, is_last: bool) -> Sequence[View]:
        """How a text reads, each time with one more layer undone; empty where there is none."""
        if is_plain(text) and (is_last or not text.endswith(b"\r")):
            return ()
        found: list[View] = []
        inner: View | None = None
        for _ in range(_DEPTH):
            cut = len(text) if is_last else cut_of(text)
            tokens = self._tokens(text)
            if not tokens and cut == len(text):
                break
            inner = View(inner, text, cut, tokens)
            found.append(inner)
            text = inner.text
            if not tokens:
                break
        return found

    def _tokens(self, text: bytes) -> list[Token]:
        """Each of them in the order of the text; quick where there is none."""
        found: list[Token] = []
        if _PERCENT in text:
            found += [(*m.span(), _BYTES[m[1]]) for m in self.percent.finditer(text)]
        if _BACKSLASH in text and _BACKSLASHED.search(text) is not None:
            found += [
                (*m.span(), b"\\" if m[1] else _BYTES[m[2]] if m[2] else b"")
                for m in self.backslash.finditer(text)
            ]
        if _AMPERSAND in text:
            found += [
                (*m.span(), b"&" if m[1] else _BYTES[m[2]] if m[2] else bytes((int(m[3]),)))
                for m in self.ampersand.finditer(text)
            ]
        if _NEWLINE in text:
            found += [
                (m.start() - (text[m.start() - 1] == _RETURN), m.end(), b"")
                for m in _WRAPPED.finditer(text)
            ]
        if len(found) > 1:
            found.sort()
        return found


_BACKSLASHED: Final = re.compile(rb"\\(?:[\\xn]|u00)")
_WRAPPED: Final = re.compile(rb"\n(?:(?<=" + _LINE + rb"\n)|(?<=" + _LINE + rb"\r\n))")


def is_plain(text: bytes) -> bool:
    """Whether a text means nothing else than it says, if nothing follows it."""
    return not (may_escape(text) or _NEWLINE in text)


def may_escape(text: bytes) -> bool:
    """Whether anything in a text may begin an escape."""
    return _PERCENT in text or _BACKSLASH in text or _AMPERSAND in text


def cut_of(text: bytes) -> int:
    """Where an escape begins that the end of a text cuts short; the text's end if none does."""
    low = max(0, len(text) - _LONGEST)
    tail = text[low:]
    if may_escape(tail) or tail.endswith(b"\r"):
        found = _CUT_SHORT.search(text, low)
        if found is not None:
            return found.start()
    return len(text)


def context_of(text: bytes) -> bytes:
    """What of a text that has passed says how the next is to be read: none of it is an escape."""
    if text[-1:] not in _IN_LINE:
        return b""
    found = _RUN.search(text, max(0, len(text) - _LINE_BYTES))
    return b"" if found is None else found[0]


def _any_case(pair: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in pair)
