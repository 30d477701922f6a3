"""Arguments of a call as policies see them: exactly what the tool will read, or not at all.

Only what policies read is converted. INVARIANT: whatever two readers could take for different
values raises `Unheld`, and so denies: a duplicate name, NaN, a number that Cedar or a double cannot
hold, text where a number belongs, a name in another case.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Final, NoReturn

from ringfence.decisions.policy.rule import ARGUMENTS, Path
from ringfence.decisions.policy.shape import OPAQUE, Kind, Member, Shape

MAX_BYTES = 4 * 1024 * 1024
MAX_VALUES = 50_000
"""Arguments that policies read; whatever is larger denies rather than holds up all other calls."""

_MAX_LONG = 2**63 - 1
_MAX_EXACT = 2**53
"""Up to here every whole number is a double."""
_DIGITS = 15
"""Decimals of so many digits never fall together as doubles (IEEE 754: DBL_DIG)."""
_FRACTION_DIGITS = 4
"""What Cedar's decimal holds after the point."""
_MAX_DECIMAL = Decimal("922337203685477.5807")
_SHOWN = 40
_TEXT_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")
"""How a number may stand as text: as JSON would write it, so that no reader sees another one."""


class Unheld(Exception):  # noqa: N818 (says what the value is; never leaves this package)
    """A value that cannot be held exactly; the text says which and why, for the model."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which parts of the arguments are read: names with what is read of each; empty for all."""

    members: Mapping[str, "Wanted"] = field(default_factory=dict)


def wanted(reads: Iterable[Path], tests: Iterable[Path]) -> Wanted | None:
    """The arguments among the facts that policies read, as a tree; None if there are none.

    Of what is only tested for presence (`has`), nothing is read but what `reads` names too.
    """
    paths = {path[1:] for path in reads if path[0] == ARGUMENTS}
    for path in {path[1:] for path in tests if path[0] == ARGUMENTS}:
        if not any(_is_within(each, path) for each in paths):
            paths.add(path)
    tree = _tree({path for path in paths if not any(_is_within(path, each) for each in paths)})
    return tree if tree.members else None


def _is_within(path: Path, other: Path) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def _tree(paths: Collection[Path]) -> Wanted:
    firsts = sorted({path[0] for path in paths if path})
    return Wanted(
        {name: _tree({path[1:] for path in paths if path[:1] == (name,)}) for name in firsts}
    )


def hold(arguments: bytes, shape: Shape, parts: Wanted) -> dict[str, object]:
    """The parts of the arguments that are read, in Cedar's JSON format.

    Raises Unheld.
    """
    return _record(_parse(arguments), shape, parts, "")


def _parse(raw: bytes) -> Mapping[str, object]:
    if not raw:
        return {}
    if len(raw) > MAX_BYTES:
        _refuse("the arguments are too large to be judged")
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_VALUES:
        _refuse("the arguments hold too many values to be judged")
    try:
        found = _STRICT.decode(raw.decode())
    except (ValueError, RecursionError, ArithmeticError):
        _refuse("the arguments are not usable JSON")
    if not isinstance(found, dict):
        _refuse("the arguments are not an object")
    return found


def _constant(name: str) -> NoReturn:
    _refuse(f"the arguments hold {name}")


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse("a name stands twice in the arguments")
    return found


_STRICT: Final = json.JSONDecoder(
    parse_float=Decimal, parse_constant=_constant, object_pairs_hook=_unique
)
"""Made once: `json.loads` makes one for each text that it is given a hook for."""


def _record(
    value: Mapping[str, object], shape: Shape, parts: Wanted, where: str
) -> dict[str, object]:
    names = parts.members or dict.fromkeys(shape.members, Wanted())
    if not parts.members:
        for name in value:
            if name not in shape.members:
                _refuse(f"{_named(where, name)} is not in the tool's schema")
    _refuse_lookalikes(value, names, shape, where)
    held: dict[str, object] = {}
    for name, inner in names.items():
        member, given = shape.members.get(name), value.get(name)
        if given is None and name not in value and member is not None:
            given = member.default
        if given is not None:
            if member is None:
                _refuse(f"{_named(where, name)} is not in the tool's schema")
            held[name] = _value(given, member.shape, inner, _place(where, name))
        elif member is not None and not _may_lack(member, is_null=name in value):
            _refuse(f"{_named(where, name)} is {'null' if name in value else 'missing'}")
    return held


def _may_lack(member: Member, *, is_null: bool) -> bool:
    return member.is_nullable if is_null else not member.is_required


def _refuse_lookalikes(
    value: Mapping[str, object], names: Iterable[str], shape: Shape, where: str
) -> None:
    """A reader that ignores case would take `Amount` for `amount` (Go's `encoding/json` does)."""
    folded: Mapping[str, str] | None = None
    for name in value:
        if name in shape.members:
            continue
        folded = folded or {name.casefold(): name for name in names}
        known = folded.get(name.casefold())
        if known is not None and known != name:
            _refuse(f"{_named(where, name)} is `{known}` in another case")


def _value(value: object, shape: Shape, parts: Wanted, where: str) -> object:
    if shape.may_be_text and isinstance(value, str) and _TEXT_NUMBER.fullmatch(value):
        value = Decimal(value)
    match shape.kind, value:
        case Kind.TEXT, str(text):
            return _text(text, where)
        case Kind.FLAG, bool():
            return value
        case ((Kind.WHOLE | Kind.NUMBER), bool()):
            pass  # to Python a bool is an int
        case Kind.WHOLE, int() | float() | Decimal():
            return _whole(_exact(value), where)
        case Kind.NUMBER, int() | float() | Decimal():
            return _decimal(_exact(value), where)
        case Kind.SET, (list() | tuple()) as items:
            element = shape.element or OPAQUE
            return [
                _value(each, element, Wanted(), f"an element of {where}")
                for each in items
                if each is not None
            ]
        case Kind.RECORD, dict(inner):
            return _record(inner, shape, parts, where)
        case _:
            pass
    raise Unheld(f"{where} must be {shape.kind}")


def _exact(value: float | Decimal) -> Decimal:
    """A number as it is written; defaults of a schema come as Python read them."""
    return Decimal(str(value)) if isinstance(value, float) else Decimal(value)


def _whole(value: Decimal, where: str) -> int:
    # Only operations that never round to the context's precision: comparing and copying.
    is_small = value.is_finite() and value.copy_abs() <= _MAX_LONG
    if not is_small or value != value.to_integral_value():
        _refuse(f"{where} must be a whole number of at most 64 bits")
    whole = int(value)
    if abs(whole) > _MAX_EXACT and int(float(whole)) != whole:
        _refuse(f"{where} has more digits than every reader keeps")
    return whole


def _decimal(value: Decimal, where: str) -> dict[str, object]:
    if not value.is_finite() or value.copy_abs() > _MAX_DECIMAL:
        _refuse(f"{where} is larger than a policy can compare")
    # Digits and places by hand: arithmetic would round to the context's precision.
    sign, figures, exponent = value.as_tuple()
    written = "".join(map(str, figures))
    kept = written.rstrip("0") or "0"
    places = -int(exponent) - (len(written) - len(kept)) if value else 0
    if places > _FRACTION_DIGITS:
        _refuse(f"{where} has more than {_FRACTION_DIGITS} digits after the point")
    if len(kept.lstrip("0")) > _DIGITS and int(float(value)) != value:
        _refuse(f"{where} has more digits than every reader keeps")
    whole, fraction = divmod(int(kept) * 10 ** (_FRACTION_DIGITS - places), 10**_FRACTION_DIGITS)
    minus = "-" if sign and value else ""
    arg = f"{minus}{whole}.{fraction:0{_FRACTION_DIGITS}d}"
    return {"__extn": {"fn": "decimal", "arg": arg}}


def _text(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(f"{where} holds half a character")
    return text


def _named(where: str, name: str) -> str:
    shown = name if len(name) <= _SHOWN else name[:_SHOWN] + "…"
    shown = "".join(each if each.isprintable() and each != "`" else "�" for each in shown)
    return f"`{shown}`" if not where else f"{where[:-1]}.{shown}`"


_place = lru_cache(maxsize=4096)(_named)
"""For names of schemas and policies, which come again; a caller's own are not kept."""


def _refuse(why: str) -> NoReturn:
    raise Unheld(why)
