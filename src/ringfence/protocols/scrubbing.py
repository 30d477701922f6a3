"""Takes secrets out of bytes that pass by, in every usual form and across any split of them."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from ringfence.protocols.secret_form import forms

_ESCAPE_BYTES_MAX: Final = 9
r"""The longest way to write one byte by its number: `&#x0041;`, and one more to be sure."""
_MASK: Final = b"*"
_CUT_SHORT: Final = re.compile(
    rb"(?:%[0-9A-Fa-f]?|\\(?:u(?:0(?:0[0-9A-Fa-f]?)?)?|x[0-9A-Fa-f]?)?"
    rb"|&(?:#(?:[xX]?[0-9A-Fa-f]{0,5})?)?)\Z"
)
"""An escape that the next bytes may complete."""
_TELLING: Final = 4
"""So many bytes of a form are looked for at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A secret as it may be repeated: its name, its value and what takes its place.

    INVARIANT (I5): no repr shows it.
    """

    name: str
    value: bytes
    stand_in: bytes = b""

    def __repr__(self) -> str:
        """Its name alone."""
        return f"Shown({self.name})"


@dataclass(frozen=True, slots=True)
class _Match:
    start: int
    end: int
    name: str
    instead: bytes


@final
class Scrub:
    """What to look for, compiled once and used by any number of streams. INVARIANT (I5): no repr.

    What takes a secret's place is as long as what was there, so that no framing changes.
    """

    __slots__ = ("_by_start", "_endings", "_escape", "_forms", "_starts", "longest_bytes")

    def __init__(self, secrets: Iterable[Shown]) -> None:
        """Take what may not pass."""
        found: dict[bytes, tuple[str, bytes]] = {}
        for each in secrets:
            for form, instead in forms(each.value, each.stand_in).items():
                if form:
                    found.setdefault(form, (each.name, instead))
        # The longest first: of two that begin together it is meant.
        self._forms: Mapping[bytes, tuple[str, bytes]] = {
            form: found[form] for form in sorted(found, key=lambda form: (-len(form), form))
        }
        self._by_start = tuple((form, form[:_TELLING]) for form in self._forms)
        starts = dict.fromkeys(start for _, start in self._by_start)
        self._starts = re.compile(b"|".join(map(re.escape, starts)))
        self._endings = tuple({each[:size] for each in starts for size in range(1, len(each))})
        self._escape = _escape_of(frozenset(b"".join(self._forms)))
        self.longest_bytes = max(map(len, self._forms), default=0)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to look for."""
        return not self._forms

    def whole(self, text: bytes) -> tuple[bytes, Mapping[str, int]]:
        """A text with nothing of it shown, and how often each secret was taken out."""
        matches, end = self.pieces(text, is_last=True)
        found: dict[str, int] = {}
        return _instead(text[:end], matches, found), found

    def finds(self, text: bytes) -> bool:
        """Whether a text shows any of it."""
        return bool(self.pieces(text, is_last=True)[0])

    def pieces(self, text: bytes, *, is_last: bool) -> tuple[Sequence[_Match], int]:
        """What to take out of a text, in order, and from where on it may still go on."""
        matches = self._matches(text)
        escapes = self._escape.found(text) if _holds_escape(text) else ()
        if not matches and not escapes:
            return (), len(text) if is_last else self._plain_end(text)
        view = _View(text, escapes, is_last=is_last)
        if view.is_other:
            matches += [
                _Match(start, end, match.name, _MASK * (end - start))
                for match in self._matches(view.text)
                for start, end in [(view.place(match.start), view.place(match.end))]
            ]
        matches.sort(key=lambda match: (match.start, -match.end))
        chosen: list[_Match] = []
        at = 0
        for match in matches:
            if match.start < at:
                continue
            if not is_last and self._open_from(text, view, at) <= match.start:
                break
            chosen.append(match)
            at = match.end
        return chosen, len(text) if is_last else self._open_from(text, view, at)

    def _plain_end(self, text: bytes) -> int:
        """As `_open_from` for a text that shows nothing and has no escapes but one cut short."""
        cut = _cut_of(text)
        return min(cut, self._begun(text if cut == len(text) else text[:cut], 0))

    def _matches(self, text: bytes) -> list[_Match]:
        found: list[_Match] = []
        for form in [form for form in self._forms if form in text]:
            name, instead = self._forms[form]
            at = text.find(form)
            while at >= 0:
                found.append(_Match(at, at + len(form), name, instead))
                at = text.find(form, at + 1)
        return found

    def _open_from(self, text: bytes, view: "_View", at: int) -> int:
        """Where the first form begins, from `at` on, that the end of the text cuts short."""
        first = self._begun(text, at)
        if view.cut < len(text) or view.is_other:
            begun = view.place(self._begun(view.text, view.index(at)))
            first = min(first, max(at, begun), max(at, view.cut))
        return first

    def _begun(self, text: bytes, at: int) -> int:
        """Where a suffix of the text begins that begins a form; the text's end if none does."""
        end = first = len(text)
        low = max(at, end - self.longest_bytes + 1)
        tail = text.endswith(self._endings)
        if not tail and self._starts.search(text, low) is None:
            return end
        for form, start in self._by_start:
            low = max(at, end - len(form) + 1)
            place = text.find(start, low) if end - low >= len(start) else -1
            while 0 <= place < first:
                if form.startswith(text[place:]):
                    first = place
                    break
                place = text.find(start, place + 1)
            for length in range(min(len(start) - 1, end - low, end - at), 0, -1):
                if text.endswith(start[:length]):
                    first = min(first, end - length)
                    break
        return first

    def __repr__(self) -> str:
        """Names only."""
        return f"Scrub({sorted({name for name, _ in self._forms.values()})})"


def _holds_escape(text: bytes) -> bool:
    """Whether any escape may be in a text; quick where there is none."""
    return b"%" in text or b"\\" in text or b"&" in text


def _cut_of(text: bytes) -> int:
    """Where an escape begins that the end of a text cuts short; the text's end if none does."""
    low = max(0, len(text) - _ESCAPE_BYTES_MAX)
    if _holds_escape(text[low:]):
        found = _CUT_SHORT.search(text, low)
        if found is not None:
            return found.start()
    return len(text)


def _instead(text: bytes, matches: Sequence[_Match], found: dict[str, int]) -> bytes:
    """A text with what takes the place of these matches; each is counted into `found`."""
    if not matches:
        return text
    parts: list[bytes] = []
    at = 0
    for match in matches:
        parts += [text[at : match.start], match.instead]
        at = match.end
        found[match.name] = found.get(match.name, 0) + 1
    parts.append(text[at:])
    return b"".join(parts)


@final
class _View:
    """A text as it reads when escapes by number are undone, and where each of its bytes was.

    What an escape at the very end leaves open is not in the text of the view: it begins at `cut`.
    """

    def __init__(self, text: bytes, escapes: Sequence[re.Match[bytes]], *, is_last: bool) -> None:
        self.cut = len(text) if is_last else _cut_of(text)
        self._indices: list[int] = []
        self._places: list[int] = []
        self.text = text if self.cut == len(text) else text[: self.cut]
        if escapes:
            self._undo(self.text, escapes)

    @property
    def is_other(self) -> bool:
        """Whether it differs from the text."""
        return bool(self._indices)

    def _undo(self, text: bytes, escapes: Sequence[re.Match[bytes]]) -> None:
        parts: list[bytes] = []
        at = length = 0
        for match in escapes:
            parts += [text[at : match.start()], bytes((_meant(match),))]
            length += match.start() - at + 1
            at = match.end()
            self._indices.append(length)
            self._places.append(at)
        self.text = b"".join([*parts, text[at:]])

    def place(self, index: int) -> int:
        """Where a byte of the view was in the text."""
        known = bisect_right(self._indices, index) - 1
        if known < 0:
            return index
        return self._places[known] + index - self._indices[known]

    def index(self, place: int) -> int:
        """Where a byte of the text is in the view; of one within an escape, where that is."""
        known = bisect_right(self._places, place) - 1
        if known < 0:
            low = 0
            found = place
        else:
            low = self._indices[known]
            found = low + place - self._places[known]
        nearest = self._indices[known + 1] - 1 if known + 1 < len(self._indices) else len(self.text)
        return min(max(found, low), nearest)


@final
@dataclass(frozen=True, slots=True)
class _Escapes:
    """The escapes by number that could stand for a byte of some form."""

    kinds: tuple[tuple[bytes, bytes, re.Pattern[bytes]], ...]
    """Of each kind its first byte and its beginning, which are quick to miss, and a pattern."""

    def found(self, text: bytes) -> Sequence[re.Match[bytes]]:
        """Each of them in the order of the text; quick where there is none."""
        matches: list[re.Match[bytes]] = []
        for first, start, pattern in self.kinds:
            if first in text and start in text:
                matches += pattern.finditer(text)
        return sorted(matches, key=_START) if len(matches) > 1 else matches


_START: Final = re.Match[bytes].start


def _escape_of(alphabet: frozenset[int]) -> _Escapes:
    pairs = "|".join(sorted(_any_case(f"{byte:02x}") for byte in alphabet)) or "(?!)"
    numbers = "|".join(sorted(str(byte) for byte in alphabet)) or "(?!)"
    named = rf"&#(?:[xX]0{{0,3}}(?P<hex>{pairs})|0?(?P<number>{numbers}));"
    return _Escapes(
        (
            (b"%", b"%", re.compile(f"%(?P<hex>{pairs})(?P<number>)?".encode())),
            (b"\\", b"\\u00", re.compile(rf"\\u00(?P<hex>{pairs})(?P<number>)?".encode())),
            (b"\\", b"\\x", re.compile(rf"\\x(?P<hex>{pairs})(?P<number>)?".encode())),
            (b"&", b"&#", re.compile(named.encode())),
        )
    )


def _any_case(pair: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in pair)


def _meant(match: re.Match[bytes]) -> int:
    number = match["number"]
    return int(number) if number else int(match["hex"], 16)


@final
class Scrubber:
    """One stream of bytes; what it holds back is what may turn out to be the beginning of a form.

    `redactions` counts what was taken out, by the names of secrets.
    """

    __slots__ = ("_kept", "_scrub", "redactions")

    def __init__(self, scrub: Scrub) -> None:
        """Nothing has passed yet."""
        self._scrub = scrub
        self._kept = b""
        self.redactions: dict[str, int] = {}

    def feed(self, chunk: bytes, *, is_last: bool = False) -> bytes:
        """What may pass on now; all of it if nothing follows."""
        return self._pass(self._kept + chunk if self._kept else chunk, is_last=is_last)

    def finish(self) -> bytes:
        """The rest; the stream has ended."""
        return self._pass(self._kept, is_last=True)

    def _pass(self, text: bytes, *, is_last: bool) -> bytes:
        if not text or self._scrub.is_idle:
            self._kept = b""
            return text
        matches, end = self._scrub.pieces(text, is_last=is_last)
        self._kept = text[end:]
        return _instead(text if end == len(text) else text[:end], matches, self.redactions)
