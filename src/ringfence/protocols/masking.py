"""Put marks in the place of what was found in a message, leaving every other byte as it is.

A message is read as texts: every string of its JSON with its escapes undone, and what stands
between strings. The pieces that a stream sends of one text are looked at as one.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, final

from ringfence.domain.masking import Found

Find = Callable[[str], Sequence[Found]]
"""What stands in a text, in order and not overlapping."""

Span = tuple[int, int]

# A JSON string (RFC 8259 §7) and whether it is a name; never goes back, whatever the bytes.
_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*+)"(\s*+:)?+', re.DOTALL)
_PLACE: Final = re.compile(
    rb'"(?:type|index|output_index|content_index|item_id)"\s*+:\s*+[^,}\]]*+'
)
_STREAM: Final = re.compile(rb"\s*+(?:data|event|id|retry)?:")
_GROWING: Final = frozenset(
    {
        b"arguments", b"content", b"data", b"delta", b"partial_json", b"reasoning",
        b"reasoning_content", b"refusal", b"text", b"thinking",
    }
)  # fmt: skip
"""The fields that streams send piece by piece: chat, responses, messages, Gemini."""

_CHANGING: Final = re.compile(
    rb'"(?:obfuscation|' + b"|".join(sorted(_GROWING)) + rb')"\s*+:\s*+("(?:[^"\\]|\\.)*+")',
    re.DOTALL,
)
"""What differs from event to event of a stream: its pieces, and OpenAI's padding beside them."""
_NUMBER: Final = re.compile(rb'("sequence_number": ?)\d{1,4}(?=[,}])')
_FORMS_MOST: Final = 256

_STRUCTURE: Final = b" \t\r\n,:{}[]"
_SHORTEST_BETWEEN: Final = 5
"""Nothing that is known by itself has fewer characters; numbers have fewer most of the time."""


class Masked(NamedTuple):
    """A message with marks; `counts` says how many of each name there are."""

    whole: bytes
    counts: dict[str, int]


class _Text(NamedTuple):
    """A text of a message, where it stands, and the one it continues ("" for none)."""

    start: int
    end: int
    said: str
    is_string: bool
    group: bytes


def mask(whole: bytes, find: Find) -> Masked:
    """Mask a message, or a part of one that begins and ends outside its strings."""
    notes = _Notes(find)
    if _STREAM.match(whole):
        _take_stream(whole, notes)
    else:
        for text in _texts_of(whole, 0, len(whole), is_stream=False):
            notes.take(text)
    notes.end()
    edits = sorted(notes.edits.items())
    return Masked(_rewritten(whole, edits) if edits else whole, notes.counts)


@final
class _Notes:
    """What is to be written where in one message, and the texts that must be seen together."""

    def __init__(self, find: Find) -> None:
        self.edits: dict[Span, bytes] = {}
        self.counts: dict[str, int] = {}
        self._find = find
        self._groups: dict[bytes, list[_Text]] = {}
        self._clean: set[str] = set()  # a stream says the same names and ids in every event

    def take(self, text: _Text) -> None:
        if text.group:
            self._groups.setdefault(text.group, []).append(text)
        elif text.said not in self._clean and not self._edit([text]):
            self._clean.add(text.said)

    def end(self) -> None:
        for texts in self._groups.values():
            self._edit(texts)

    def _edit(self, texts: Sequence[_Text]) -> bool:
        return _edit(texts, self._find, self.edits, self.counts)


def _take_stream(whole: bytes, notes: _Notes) -> None:
    """Line by line; one that differs from an earlier one only in what changes is not read anew.

    INVARIANT: lines of one form have the same strings at the same places, but for those that were
    cut out: in their place stand strings, and nothing within a JSON string looks like a name that
    is followed by one, since its quotes are escaped.
    """
    forms: dict[tuple[bytes, ...], Sequence[bytes]] = {}
    at = 0
    for line in whole.splitlines(keepends=True):
        end = at + len(line)
        cuts = [each.span(1) for each in _CHANGING.finditer(whole, at, end)]
        form = tuple(_around(whole, at, end, cuts))
        groups = forms.get(form)
        if groups is None:
            texts = list(_texts_of(whole, at, end, is_stream=True))
            edited = len(notes.edits)
            for text in texts:
                notes.take(text)
            known = {(text.start, text.end): text.group for text in texts}
            is_read = all(cut in known for cut in cuts) and len(notes.edits) == edited
            if is_read and len(forms) < _FORMS_MOST:
                forms[form] = [known[cut] for cut in cuts]
        else:
            for (start, stop), group in zip(cuts, groups, strict=True):
                said = _said(whole[start + 1 : stop - 1])
                notes.take(_Text(start, stop, said, is_string=True, group=group))
        at = end


def _around(whole: bytes, start: int, end: int, cuts: Sequence[Span]) -> Iterator[bytes]:
    """What stands before, between and after what was cut out; its number in a stream left out."""
    for cut, stop in cuts:
        yield _NUMBER.sub(rb"\1", whole[start:cut])
        start = stop
    yield _NUMBER.sub(rb"\1", whole[start:end])


def mark(name: str) -> str:
    """What stands for something masked. It tells nothing but what kind it was."""
    return f"[masked:{name}]"


def _texts_of(whole: bytes, start: int, end: int, *, is_stream: bool) -> Iterator[_Text]:
    """The texts of one JSON value, or whatever it is."""
    place = b"\n".join(_PLACE.findall(whole, start, end)) if is_stream else b""
    name, at = b"", start
    for string in _STRING.finditer(whole, start, end):
        if string.start() > at:
            yield from _between(whole, at, string.start())
        at = string.end()
        is_name = string[2] is not None
        stop = string.end(1) + 1
        is_growing = is_stream and not is_name and name in _GROWING
        group = name + b"\n" + place if is_growing else b""
        yield _Text(string.start(), stop, _said(string[1]), is_string=True, group=group)
        name = string[1] if is_name else name
    if at < end:
        yield from _between(whole, at, end)


def _between(whole: bytes, start: int, end: int) -> Iterator[_Text]:
    """Numbers, a string that was cut off, or no JSON at all."""
    data = whole[start:end]
    if len(data.strip(_STRUCTURE)) >= _SHORTEST_BETWEEN:
        yield _Text(start, end, _decoded(data), is_string=False, group=b"")


def _said(literal: bytes) -> str:
    if b"\\" in literal:
        try:
            return str(json.loads(b'"' + literal + b'"', strict=False))
        except ValueError:
            pass  # no JSON after all
    return _decoded(literal)


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _edit(
    texts: Sequence[_Text], find: Find, edits: dict[Span, bytes], counts: dict[str, int]
) -> bool:
    """Note what is to be written in the place of texts that are one; whether there is anything.

    The mark goes where the match begins; what of it stands in later pieces goes.
    """
    found = find(texts[0].said if len(texts) == 1 else "".join(text.said for text in texts))
    if not found:
        return False
    for one in found:
        counts[one.name] = counts.get(one.name, 0) + 1
    at = first = 0
    for text in texts:
        while first < len(found) and found[first].end <= at:
            first += 1
        last = first
        while last < len(found) and found[last].start < at + len(text.said):
            last += 1
        if last > first:
            edits[text.start, text.end] = _written(text, at, found[first:last])
        at += len(text.said)
    return True


def _written(text: _Text, at: int, found: Sequence[Found]) -> bytes:
    parts: list[str] = []
    kept = 0
    for one in found:
        parts.append(text.said[kept : max(one.start - at, 0)])
        if one.start >= at:
            parts.append(mark(one.name) if text.is_string else f'"{mark(one.name)}"')
        kept = one.end - at
    said = "".join(parts) + text.said[max(kept, 0) :]
    if not text.is_string:
        return said.encode("utf-8", "surrogateescape")
    try:
        return json.dumps(said, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # lone surrogates, or no UTF-8
        return json.dumps(said).encode()


def _rewritten(whole: bytes, edits: Sequence[tuple[Span, bytes]]) -> bytes:
    parts: list[bytes] = []
    at = 0
    for (start, end), new in edits:
        parts += (whole[at:start], new)
        at = end
    return b"".join([*parts, whole[at:]])
