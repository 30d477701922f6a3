"""One strict reading of JSON, so that Ringfence and the upstream see the same message (I8).

What two parsers could read differently is refused: duplicate names, invalid UTF-8, lone
surrogates, NaN and Infinity, a byte order mark, anything after the end. Not so duplicate names
within messages that hold nothing but text, whichever of their values is read: these are skipped,
not built. `members` and `elements`
find where values stand without building them, `parse` builds a small part and looks for duplicates
at every level of it, `replace` changes some bytes and leaves all others.

How it works: `msgspec` skips over values as fast as memory allows, checking syntax and surrogate
escapes as it goes, and gives the raw bytes of each; walking along these tells where each stands.
Of two members with one name it keeps the last, so that the walk then meets bytes it does not
expect. It does not look at the UTF-8 of what it skips; `check_text` does.

One body is read at once, while all others wait; so how many values it may hold is bounded, and
counted before any of them is built.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NoReturn, TypeAlias, TypeVar

import msgspec

from ringfence.domain.error import PeerError

_T = TypeVar("_T")

Member: TypeAlias = tuple[str, int, int]
"""Name of a member of an object, and where its value stands (start, end)."""

Span: TypeAlias = tuple[int, int]
"""Where a value stands (start, end)."""

Edit: TypeAlias = tuple[int, int, bytes]
"""What stands between start and end becomes these bytes."""

_RAW_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_RAW = msgspec.json.Decoder(msgspec.Raw)
_TEXT = msgspec.json.Decoder(str)
_COUNT: msgspec.json.Decoder[int | None] = msgspec.json.Decoder(int | None)
_FLAG: msgspec.json.Decoder[bool | None] = msgspec.json.Decoder(bool | None)

MAX_VALUES = 1_000_000
"""In one body: a batch of embeddings may be that many tokens given as numbers."""
MAX_MEMBERS = 200_000
"""In one body, at any depth."""
MAX_BUILT = 100_000
"""Values of one part, or of all messages that are not plain, that are built and not skipped."""
MAX_ELEMENTS = 100_000
"""In one array."""
MAX_NAMES = 10_000
"""In one object."""

_SPACE = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_COMMA, _CLOSE, _LAST_SPACE = b",} "
_SHORTEST_VALUE = 2
"""Bytes, with its comma."""
_SHORTEST_MEMBER = 5
"""Bytes, with its comma."""
_AROUND = 4
"""Bytes of a member beside its name and value: quotes, a colon, a comma or the closing brace."""
_SHOWN_CHARACTERS = 60
_USUAL_NAME = 40
_NUMBER_DIGITS = 18
"""More digits than any count has, fewer than what some parser would round (2⁶³)."""


def refuse(message: str) -> NoReturn:
    """Raise the one error that a request of the wrong form gets."""
    raise PeerError("request_malformed", message)


def quote(text: str) -> str:
    """Show a client's text in an error: on one line, short, in backticks."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return "`" + "".join(c if c.isprintable() and c != "`" else "�" for c in shown) + "`"


def check_text(body: bytes) -> None:
    """Refuse what is not UTF-8 (overlong forms and raw surrogates included)."""
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        refuse(f"the body is not valid UTF-8 (byte {error.start})")


def check_amount(body: bytes) -> None:
    """Refuse more values than can be read while others wait."""
    if weight(body, MAX_VALUES) > MAX_VALUES:
        refuse(f"the body holds more than {MAX_VALUES} values")
    if body.count(b":") > MAX_MEMBERS and _outside_texts(body).count(b":") > MAX_MEMBERS:
        refuse(f"the body holds more than {MAX_MEMBERS} members of objects")


def weight(raw: bytes, most: int) -> int:
    """How many values these bytes hold at the most; exact enough only beyond `most`."""
    if len(raw) <= _SHORTEST_VALUE * most:
        return len(raw) // _SHORTEST_VALUE
    rough = _marks(raw)
    return rough if rough <= most else _marks(_outside_texts(raw))


def members(body: bytes) -> list[Member]:
    """Read a whole body that must be an object: its members in order, values as spans."""
    return [(name, *span) for name, span in spans(body).items()]


def members_within(body: bytes, start: int, end: int) -> list[Member]:
    """Read one object of a body that `check_text` has passed; positions are those of the body."""
    return [(name, *span) for name, span in spans_within(body, start, end).items()]


def spans(body: bytes) -> dict[str, Span]:
    """Read like `members`, as a mapping from name to where the value stands."""
    check_text(body)
    if len(body) > _SHORTEST_MEMBER * MAX_MEMBERS:
        check_amount(body)
    return spans_within(body, 0, len(body))


def spans_within(body: bytes, start: int, end: int) -> dict[str, Span]:
    """Read like `members_within`, as a mapping from name to where the value stands."""
    whole = start == 0 and end == len(body)
    values = _raw_members(body if whole else body[start:end])
    placed, stop = _placed(values, start + 1)
    return placed if stop == end else _sought(body, start, values)


def values_of(body: bytes) -> dict[str, msgspec.Raw]:
    """Read one object of a body that `check_text` has passed: its raw values by name."""
    values = _raw_members(body)
    if _shortest(values) != len(body):
        _sought(body, 0, values)
    return values


def _shortest(values: Mapping[str, bytes]) -> int:
    """How many bytes an object of these members has at the least; but for names like `é`."""
    return 1 + sum(map(len, values)) + sum(map(len, values.values())) + _AROUND * len(values)


def _sought(body: bytes, start: int, values: Mapping[str, bytes]) -> dict[str, Span]:
    """Where the values stand of an object that begins at `start` or after some space."""
    found: dict[str, Span] = {}
    at = body.index(b"{", start) + 1
    for name, raw in values.items():
        usual = _written(name) if len(name) <= _USUAL_NAME else _write_name(name)
        if body.startswith(usual, at):
            value_at = at + len(usual)
            if body[value_at] <= _LAST_SPACE:
                value_at = _skip_space(body, value_at)
        else:
            value_at = _after_name(body, at, name)
        # INVARIANT: no JSON value is the beginning of another one at the same place, so equal
        # bytes mean that this value is the one that `msgspec` kept, not an earlier one.
        if not body.startswith(raw, value_at):
            refuse(f"duplicate name {quote(name)}")
        at = value_at + len(raw)
        found[name] = (value_at, at)
        if body[at] == _CLOSE:
            return found
        if body[at] != _COMMA:
            at = _skip_space(body, at)
            if body[at] != _COMMA:
                return found
        at += 1
        if body[at] <= _LAST_SPACE:
            at = _skip_space(body, at)
    if found:  # a comma came after the last name that is new
        refuse(f"duplicate name {quote(_name_at(body, at))}")
    return found


def _placed(values: Mapping[str, bytes], at: int) -> tuple[dict[str, Span], int]:
    """Where the values stand of an object without any space, whose first name begins at `at`.

    INVARIANT: only if it ends where the second result says, so that it is as long as these members
    written in the shortest way. Space, an escape in a name, a letter like `é` there, or a member
    that stands twice would have made it longer.
    """
    found: dict[str, Span] = {}
    for name, raw in values.items():
        at += len(name) + _AROUND - 1
        stop = at + len(raw)
        found[name] = (at, stop)
        at = stop + 1
    return found, at


def items_of(body: bytes) -> list[msgspec.Raw]:
    """Read one array of a body that `check_text` has passed: its raw elements."""
    return _decode(_RAW_ARRAY, body, "an array")


def elements(body: bytes, start: int, end: int, most: int = MAX_ELEMENTS) -> list[Span]:
    """Read one array of a body that `check_text` has passed: where each element stands."""
    values = _decode(_RAW_ARRAY, body[start:end], "an array")
    if len(values) > most:
        refuse(f"an array has more than {most} elements")
    at = body.index(b"[", start) + 1
    found: list[Span] = []
    if end - at == sum(map(len, values)) + len(values):  # just a comma or bracket after each
        for raw in values:
            stop = at + len(raw)
            found.append((at, stop))
            at = stop + 1
        return found
    for raw in values:
        at = _skip_space(body, at)
        found.append((at, at + len(raw)))
        at = _skip_space(body, at + len(raw)) + 1
    return found


def refuse_lookalikes(names: Iterable[str], known: Collection[str]) -> None:
    """Refuse a name that is a known one but for its case, as which some parsers would take it.

    Source: https://pkg.go.dev/encoding/json#Unmarshal, "preferring exact matches but also accepting
    case-insensitive matches"; several servers of models are written in Go.
    """
    if isinstance(known, frozenset) and known.issuperset(names):
        return
    for name in names:
        if name not in known and name.casefold() in known:
            refuse(f"{quote(name)} is `{name.casefold()}` in another case")


def parse(raw: bytes) -> object:
    """Build one value, refusing duplicate names at every level of it."""
    check_text(raw)
    if weight(raw, MAX_BUILT) > MAX_BUILT:
        refuse(f"a part of the body holds more than {MAX_BUILT} values")
    _decode(_RAW, raw, "JSON")
    try:
        return _STRICT.decode(raw.decode())
    except (ValueError, RecursionError) as error:
        refuse(f"the body is not usable JSON: {_reason(error)}")


def shallow(read: Callable[[bytes], _T], body: bytes) -> _T:
    """Read a body; nesting that is too deep for the reader is refused."""
    try:
        return read(body)
    except RecursionError:
        refuse("the body is nested too deeply")


def text(raw: bytes, name: str) -> str:
    """Read a string."""
    return _scalar(_TEXT, raw, name, "a string")


def count(raw: bytes, name: str) -> int | None:
    """Read a whole number that is not negative, or null.

    `1.0` and `1e3` are refused: not every parser takes them for a whole number.
    """
    if len(raw) > _NUMBER_DIGITS:
        refuse(f"{quote(name)} is not a usable number")
    number = _scalar(_COUNT, raw, name, "a whole number or null")
    if number is not None and number < 0:
        refuse(f"{quote(name)} must not be negative")
    return number


def flag(raw: bytes, name: str) -> bool:
    """Read true or false; null is false."""
    return bool(_scalar(_FLAG, raw, name, "true, false or null"))


def replace(body: bytes, edits: Iterable[Edit]) -> bytes:
    """Give the body with these spans changed and every other byte as it was.

    Edits must not overlap; two at one place are written in the order given.
    """
    pieces: list[bytes] = []
    done = 0
    for start, end, value in sorted(edits, key=lambda edit: edit[:2]):
        if start < done:
            raise ValueError(start)
        pieces += (body[done:start], value)
        done = end
    if not pieces:
        return body
    pieces.append(body[done:])
    return b"".join(pieces)


def insertion(body: bytes, start: int, name: str, value: bytes) -> Edit:
    """Add a member at the front of the object that stands at `start`."""
    at = body.index(b"{", start) + 1
    is_empty = body[_skip_space(body, at)] == _CLOSE
    return at, at, encode(name) + b":" + value + (b"" if is_empty else b",")


def assign(body: bytes, found: Mapping[str, Span], name: str, value: bytes) -> list[Edit]:
    """Give a member of the outermost object this value; no edit if it has it already."""
    if name not in found:
        return [insertion(body, 0, name, value)]
    start, end = found[name]
    return [] if body[start:end] == value else [(start, end, value)]


def _decode(decoder: msgspec.json.Decoder[_T], raw: bytes, what: str) -> _T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        refuse(f"the body is not {what} where {what} is expected")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse(f"the body is not valid JSON: {_reason(error)}")


def _scalar(decoder: msgspec.json.Decoder[_T], raw: bytes, name: str, what: str) -> _T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        refuse(f"{quote(name)} is not {what}")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, msgspec.DecodeError):
        return str(error).removeprefix("JSON is malformed: ").lower()
    return "a number or text is out of range"


def _raw_members(raw: bytes) -> dict[str, msgspec.Raw]:
    values = _decode(_RAW_OBJECT, raw, "an object")
    if len(values) > MAX_NAMES:
        refuse(f"an object has more than {MAX_NAMES} members")
    return values


def _marks(raw: bytes) -> int:
    """Every value but the outermost stands after one of these."""
    return raw.count(b",") + raw.count(b"{") + raw.count(b"[")


def _outside_texts(raw: bytes) -> bytes:
    """What stands outside of texts and names, up to where the bytes cease to be JSON.

    All of it if there are more texts than any body may hold.
    """
    unescaped = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    if unescaped.count(b'"') > 2 * (MAX_VALUES + MAX_MEMBERS):
        return raw
    return b"".join(unescaped.split(b'"')[::2])


def _write_name(name: str) -> bytes:
    """A member's name as almost every client writes it."""
    return f'"{name}":'.encode()


_written = lru_cache(maxsize=1024)(_write_name)
"""The few names that all requests have; longer ones are not worth keeping."""


def _after_name(body: bytes, at: int, name: str) -> int:
    """Where the value of the member at `at` begins, whose name must be `name`."""
    at = _skip_space(body, at)
    match = _STRING.match(body, at)
    if match is None or _TEXT.decode(match[0]) != name:
        refuse(f"duplicate name {quote(_name_at(body, at))}")
    return _skip_space(body, _skip_space(body, match.end()) + 1)


def _name_at(body: bytes, at: int) -> str:
    match = _STRING.match(body, _skip_space(body, at))
    return _TEXT.decode(match[0]) if match else ""


def _skip_space(body: bytes, at: int) -> int:
    match = _SPACE.match(body, at)
    return match.end() if match else at


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                refuse(f"duplicate name {quote(name)}")
            seen.add(name)
    return found


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_unique)
"""Made once: `json.loads` makes one for each text that it is given a hook for."""


def encode(value: str | int) -> bytes:
    """Write a text or a number."""
    return msgspec.json.encode(value)
