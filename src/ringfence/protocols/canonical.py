"""The one byte form of an event, so that everybody hashes and signs the same: RFC 8785."""

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import inspect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JsonValue: TypeAlias = (
    "bool | int | str | Sequence[JsonValue] | Mapping[str, JsonValue] | msgspec.Struct | None"
)

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""Beyond it a reader that keeps numbers as doubles sees another number (RFC 7493 section 2.2)."""

_exact_types: Final[dict[type[object], bool]] = {}
"""What `_holds_only_exact_types` has found out; one entry for each type ever encoded."""

_encoder: Final = msgspec.json.Encoder(order="sorted")

# A fast look at the encoded bytes: digits and signs become `0`, what stands before a bare number
# becomes `:`. A hit may be a false alarm from inside a text; it only costs the slow way.
_SHAPE: Final = bytes.maketrans(b"123456789-[,", b"0000000000::")
_EXACT_SCALARS: Final = (inspect.StrType, inspect.IntType, inspect.BoolType, inspect.NoneType)
_LONG_NUMBER: Final = b":" + b"0" * len(str(MAX_SAFE_INTEGER))
_COLON, _QUOTE = b':"'


def encode(value: JsonValue) -> bytes:
    """Encode a value in canonical form. Structs leave out what their type says they leave out.

    Raises TypeError for a float or an object key that is not a string, ValueError for an integer
    beyond 2⁵³−1 or a text with a lone surrogate.
    Source: RFC 8785 section 3.2. msgspec's escapes agree with it; its key order (by code point)
    differs from the one demanded (by UTF-16 unit) only where an object has keys with characters on
    both sides of the surrogates, which the slow way sorts itself.
    """
    if not _holds_only_exact_types(type(value)):
        return _encode_slowly(value)
    data = _encoder.encode(value)
    if _may_hold_long_number(data) or not (data.isascii() or _sorts_alike(data)):
        return _encode_slowly(value)
    return data


def encode_lines(values: "Sequence[msgspec.Struct]") -> bytes:
    """Encode many structs as `encode` does, joined by line feeds, with few calls.

    Raises as `encode`, without saying for which of them.
    """
    if all(map(_holds_only_exact_types, set(map(type, values)))):
        data = _encoder.encode_lines(values)
        if not _may_hold_long_number(data) and (data.isascii() or _sorts_alike(data)):
            return data[:-1]
    return b"\n".join(map(encode, values))


def _may_hold_long_number(data: bytes) -> bool:
    """Whether a bare number could be too long; a colon after no quote stands within a text.

    So an installation whose configuration's digest begins with digits alone, `sha256:0123…`, does
    not pay the slow way for each of its events.
    """
    shape = data.translate(_SHAPE)
    at = shape.find(_LONG_NUMBER)
    while at >= 0:
        if data[at] != _COLON or data[at - 1] == _QUOTE:
            return True
        at = shape.find(_LONG_NUMBER, at + 1)
    return False


def _sorts_alike(data: bytes) -> bool:
    """Whether no key can sort differently by code point than by UTF-16 unit.

    U+E000 to U+FFFF (lead bytes EE and EF) sort after the surrogates of longer characters.
    """
    has_high_unit = b"\xee" in data or b"\xef" in data
    return not has_high_unit or not any(
        lead in data for lead in (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
    )


def _holds_only_exact_types(kind: type[object]) -> bool:
    """Whether values of a struct type can hold nothing but texts, truths, integers and null."""
    known = _exact_types.get(kind)
    if known is None:
        is_struct = issubclass(kind, msgspec.Struct)
        known = is_struct and _is_exact(inspect.type_info(kind), frozenset())
        _exact_types[kind] = known
    return known


def _is_exact(info: inspect.Type, outer: frozenset[type]) -> bool:
    match info:
        case inspect.StructType(cls=cls, fields=fields):
            parts: list[inspect.Type] = [] if cls in outer else [field.type for field in fields]
            outer |= {cls}
        case inspect.EnumType(cls=cls):
            return all(isinstance(member.value, str | int) for member in cls)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            parts = [item]
        case inspect.DictType(key_type=inspect.StrType(), value_type=item):
            parts = [item]
        case inspect.UnionType(types=types) | inspect.TupleType(item_types=types):
            parts = list(types)
        case _:
            return isinstance(info, _EXACT_SCALARS)
    return all(_is_exact(part, outer) for part in parts)


def _encode_slowly(value: JsonValue) -> bytes:
    plain: object = msgspec.to_builtins(value)
    return "".join(_pieces(plain)).encode("utf-8")


def _pieces(value: object) -> list[str]:
    match value:
        case dict():
            members = [
                f"{_scalar(key)}:{''.join(_pieces(value[key]))}" for key in _sorted_keys(value)
            ]
            return ["{", ",".join(members), "}"]
        case list() | tuple():
            return ["[", ",".join("".join(_pieces(item)) for item in value), "]"]
        case _:
            return [_scalar(value)]


def _sorted_keys(members: dict[object, object]) -> list[str]:
    keys = [key for key in members if isinstance(key, str)]
    if len(keys) != len(members):
        raise TypeError("an object key is not a text")
    return sorted(keys, key=lambda key: key.encode("utf-16-be"))


def _scalar(value: object) -> str:
    if isinstance(value, float):
        raise TypeError("a float has no place in an event; write a decimal string")
    if isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER:
        raise ValueError("an integer beyond 2^53-1; write a decimal string")
    return _encoder.encode(value).decode("utf-8")
