"""Takes secrets out of bytes that pass by, in every usual form and across any split of them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from ringfence.protocols.escape import Escapes, View, context_of, is_plain
from ringfence.protocols.secret_form import forms

_MASK: Final = re.compile(rb"[^\r\n]")
"""Ends of line stay where something is masked that was wrapped."""
_TOLD_BYTES: Final = 16
"""So much of a form, and at least half of it, at the end of a message is no accident."""
_TELLING: Final = 4
"""So many bytes of a form are looked for at once."""
_USUAL: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
"""What keys and tokens are made of. Escapes of these are undone, whatever the secret."""
_WORD: Final = _USUAL | frozenset(b"+/!#$%&'()*.:;?@\\^`|~\0")
"""What forms are made of, whatever the secret: with their escapes, and in UTF-16."""
_ENDS: Final = frozenset(b"\r\n")


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

    def after(self, at: int) -> "_Match":
        """What of it stands from there on."""
        return _Match(at, self.end, self.name, _MASK.sub(b"*", self.instead[at - self.start :]))


@final
class Scrub:
    """What to look for, compiled once and used by any number of streams. INVARIANT (I5): no repr.

    What takes a secret's place is as long as what was there, so that no framing changes.

    INVARIANT (I5): how much of a stream is held back depends on the stream and on how long the
    forms are, never on what they say. Else an agent that has its own words sent to it could see in
    the sizes of what arrives whether they begin a secret, and so guess it character by character.
    """

    __slots__ = (
        "_by_start",
        "_endings",
        "_escapes",
        "_forms",
        "_read",
        "_starts",
        "_word",
        "longest_bytes",
    )

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
        # As text: CPython looks for bytes in bytes by way of an exception, at six times the cost.
        self._read = tuple((form.decode("latin-1"), form) for form in self._forms)
        self._by_start = tuple((form, form[:_TELLING]) for form in self._forms)
        starts = dict.fromkeys(start for _, start in self._by_start)
        self._starts = re.compile(b"|".join(map(re.escape, starts)))
        self._endings = tuple({each[:size] for each in starts for size in range(1, len(each))})
        alphabet = frozenset(b"".join(self._forms))
        self._word = _word_of(alphabet)
        self._escapes = Escapes.of(alphabet | _USUAL)
        self.longest_bytes = max(map(len, self._forms), default=0)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to look for."""
        return not self._forms

    def whole(self, text: bytes) -> tuple[bytes, Mapping[str, int]]:
        """A text with nothing of it shown, and how often each secret was taken out."""
        matches, end = self.pieces(text, is_last=True)
        found: dict[str, int] = {}
        return _instead(text, matches, found, 0, end), found

    def passes(self, text: bytes) -> bool:
        """Whether a text shows nothing of it, as far as one look tells; `finds` looks closer."""
        if not is_plain(text):
            return self.is_idle
        read = text.decode("latin-1")
        return not [form for known, form in self._read if known in read]

    def finds(self, text: bytes) -> bool:
        """Whether a text shows any of it."""
        return bool(self.pieces(text, is_last=True)[0])

    def pieces(
        self, text: bytes, *, is_last: bool, at: int = 0, low: int | None = None
    ) -> tuple[Sequence[_Match], int]:
        """What to take out of a text, in order, and from where on it may still go on.

        What stands before `at` has passed already: it says how the rest is to be read. What begins
        there, from `low` on, is taken out as far as it has not passed.
        """
        low = at if low is None else low
        matches = self._matches(text)
        views = self._escapes.views(text, is_last=is_last)
        if not matches and not views:
            return (), len(text) if is_last else max(at, self._word_at_end(text, low))
        for view in views:
            matches += [
                _Match(start, end, match.name, _MASK.sub(b"*", text[start:end]))
                for match in self._matches(view.text)
                for start, end in [(view.place(match.start), view.place(match.end))]
            ]
        matches.sort(key=lambda match: (match.start, -match.end))
        chosen: list[_Match] = []
        near = len(text) if is_last else self._end_of(text, views)
        for match in matches:
            if match.start < low or match.end <= at:
                continue
            if match.end > near and self._word_from(text, views, low) <= match.start:
                break
            chosen.append(match if match.start >= at else match.after(at))
            low = at = match.end
        return chosen, len(text) if is_last else max(at, self._word_from(text, views, low))

    def open_end(self, text: bytes, low: int) -> tuple[int, str]:
        """Where a form begins, from `low` on, that the end of a text cuts short; else the end.

        With the name of its secret, if so much of it is there that it is no accident.
        """
        views = self._escapes.views(text, is_last=False)
        start = self._open_from(text, views, low)
        if start == len(text):
            return start, ""
        for read, first in ((text, start), *((v.text, v.index(start)) for v in views)):
            for form, (name, _) in self._forms.items():
                told = form[: max(_TOLD_BYTES, len(form) // 2)]
                place = read.find(told, max(first, len(read) - len(form)))
                if place >= 0 and form.startswith(read[place:]):
                    return start, name
        return start, ""

    def _matches(self, text: bytes) -> list[_Match]:
        found: list[_Match] = []
        read = text.decode("latin-1")
        for form in [form for known, form in self._read if known in read]:
            name, instead = self._forms[form]
            at = text.find(form)
            while at >= 0:
                found.append(_Match(at, at + len(form), name, instead))
                at = text.find(form, at + 1)
        return found

    def _end_of(self, text: bytes, views: Sequence[View]) -> int:
        """Where at the earliest a form, or an escape, may begin that the end of a text cuts."""
        most = self.longest_bytes
        begun = [view.place(max(0, len(view.text) - most)) for view in views]
        return min([max(0, len(text) - most), *begun, *(view.cut for view in views)])

    def _open_from(self, text: bytes, views: Sequence[View], at: int) -> int:
        """Where the first form begins, from `at` on, that the end of the text cuts short."""
        return _first(self._begun, text, views, at)

    def _word_from(self, text: bytes, views: Sequence[View], at: int) -> int:
        """Where the word begins, from `at` on, that the end of the text cuts short.

        Any form that the end cuts short begins there or later.
        """
        return _first(self._word_at_end, text, views, at)

    def _word_at_end(self, text: bytes, at: int) -> int:
        """Where the word begins with which the text ends, as far as a form may reach back."""
        end = len(text)
        low = max(at, end - self.longest_bytes + 1)
        return min(end, low + len(text[low:].rstrip(self._word)))

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


def _word_of(alphabet: frozenset[int]) -> bytes:
    """What a word is made of that may be a form. It tells at most that a secret is unusual."""
    if alphabet <= _WORD:
        return bytes(sorted(_WORD))
    return bytes(sorted(set(range(256)) - (_ENDS - alphabet)))


def _first(begun: Callable[[bytes, int], int], text: bytes, views: Sequence[View], at: int) -> int:
    """Where the first thing begins, however the text is read, that its end cuts short.

    INVARIANT: no escape is cut in two.
    """
    first = begun(text, at)
    for view in views:
        start = view.place(begun(view.text, view.index(at)))
        first = min(first, max(at, start), max(at, view.cut))
    for view in reversed(views):
        first = max(at, view.place(view.index(first))) if first < len(text) else first
    return first


def _instead(
    text: bytes, matches: Sequence[_Match], found: dict[str, int], at: int, end: int
) -> bytes:
    """A text from `at` to `end` with what takes the place of these matches, each counted."""
    if not matches:
        return text if not at and end == len(text) else text[at:end]
    parts: list[bytes] = []
    for match in matches:
        parts += [text[at : match.start], match.instead]
        at = match.end
        found[match.name] = found.get(match.name, 0) + 1
    parts.append(text[at:end])
    return b"".join(parts)


@final
class Scrubber:
    """One stream of bytes; what it holds back is what may turn out to be the beginning of a form.

    `redactions` counts what was taken out, by the names of secrets.
    """

    __slots__ = ("_before", "_kept", "_scrub", "redactions")

    def __init__(self, scrub: Scrub) -> None:
        """Nothing has passed yet."""
        self._scrub = scrub
        self._before = b""
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
        at = len(self._before)
        whole = self._before + text if at else text
        matches, end = self._scrub.pieces(whole, is_last=is_last, at=at)
        self._kept = whole[end:]
        if not is_last:
            self._before = context_of(whole[:end] if self._kept else whole)
        return _instead(whole, matches, self.redactions, at, end)


@final
class MessageScrubber:
    """Messages that follow one another: each by itself, and what one begins and another ends.

    Nothing is held back from one message to the next. What has passed cannot be called back, so
    the beginning of a form at the end of a message is taken out where it is no accident (half of
    it, and at least 16 bytes); of a shorter one the rest is, when the next message begins with it.
    """

    __slots__ = ("_before", "_kept", "_open", "_scrub", "redactions")

    def __init__(self, scrub: Scrub) -> None:
        """Nothing has passed yet."""
        self._scrub = scrub
        self._before = b""
        self._open = b""
        """What messages before this one have told of a form, if they ended with that."""
        self._kept = b""
        self.redactions: dict[str, int] = {}

    def feed(self, piece: bytes, *, is_last: bool) -> bytes:
        """What of a message may pass on now; `is_last` ends it."""
        scrub = self._scrub
        if scrub.is_idle:
            return piece
        passed = self._open or self._before
        at, low = len(passed), 0 if self._open else len(passed)
        text = passed + self._kept + piece
        matches, end = scrub.pieces(text, is_last=is_last, at=at, low=low)
        if is_last:
            return self._end(text, list(matches), at, low)
        self._kept = text[end:]
        if end > at:
            self._open, self._before = b"", context_of(text[:end])
        return _instead(text, matches, self.redactions, at, end)

    def _end(self, text: bytes, matches: list[_Match], at: int, low: int) -> bytes:
        if matches:
            low = matches[-1].end
        start, name = self._scrub.open_end(text, low)
        first = max(at, start)
        if name and first < len(text):
            masked = _MASK.sub(b"*", text[first:])
            matches.append(_Match(first, len(text), name, masked))
        self._open, self._before, self._kept = text[start:], b"", b""
        return _instead(text, matches, self.redactions, at, len(text))
