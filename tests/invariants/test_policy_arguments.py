"""`forbid … amount >= 100` against every way to write an amount: never allowed wrongly.

The reference reads the same bytes as everything that could stand behind a tool would: readers that
take the first or the last of two names, that ignore case, that keep numbers exactly or as doubles,
that take text for numbers, that fill in the default. If any of them sees 100 or more, the call must
not be allowed; if all see one plain amount below, it must be.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.decisions.policy.asking import organisation, question, rules, tools

from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.domain.policy import PolicyVerdict

_LIMIT = Decimal(100)
_DECIMALS = (
    'forbid (principal, action == Action::"tool.call", resource == Tool::"crm__pay") when {'
    " context.arguments has amount &&"
    ' context.arguments.amount.greaterThanOrEqual(decimal("100.0")) };'
)
_WHOLE = _DECIMALS.replace('.greaterThanOrEqual(decimal("100.0"))', " >= 100")


def _policies(kind: str, **more: object) -> PolicySet:
    schema = {"properties": {"amount": {"type": kind, **more}, "x": {}}}
    text = _WHOLE if kind == "integer" else _DECIMALS
    return PolicySet(organisation(), rules(text), tools(crm__pay=schema))


_SETS = {
    "number": _policies("number"),
    "integer": _policies("integer"),
    "default": _policies("number", default=500),
    "decimal": _policies(
        "number", anyOf=[{"type": "number"}, {"type": "string", "pattern": r"^\d*\.?\d*$"}]
    ),
}

_plain = st.decimals(-200, 200, places=2).map(str) | st.integers(-200, 200).map(str)
_ODD = """
1e2 1E+2 1.0e2 100.0 99.99 99.9999 99.99999 0.1e3 -0.0 1e400 -1e400 1e-400 9007199254740993
9223372036854775807 9223372036854775808 -9223372036854775809 99.99999999999999999999999999999
100.00000000000000000000000000001 NaN Infinity -Infinity null true "500" "1e3"
"\\u0031\\u0030\\u0030" [500] {"amount":500} {"__extn":{"fn":"decimal","arg":"1.0"}}
{"__entity":{"type":"Agent","id":"a"}} [] {}
"""
_odd = st.sampled_from(_ODD.split())
_names = st.sampled_from(["amount", "amount", "amount", "Amount", "AMOUNT", "am\\u006funt", "x"])
_members = st.lists(st.tuples(_names, _plain | _odd), max_size=4)


def _numbers(value: object) -> Iterator[Decimal]:
    """Every number that some reader makes of a value: as written, as a double, from text."""
    match value:
        case bool() | None:
            return
        case int() | Decimal():
            exact = Decimal(value)
            yield exact
            if exact.is_finite():
                yield Decimal(float(exact))
        case float():
            yield Decimal(value)
        case str():
            try:
                yield Decimal(value)
            except InvalidOperation:
                return
        case list():
            for each in value:
                yield from _numbers(each)
        case _:
            return


def _readings(body: str, default: int | None) -> Iterator[Decimal]:
    """Every amount that any reader sees in the arguments."""
    pairs: list[tuple[str, object]] = json.loads(
        body, parse_float=Decimal, object_pairs_hook=lambda found: found
    )
    seen = [value for name, value in pairs if name.lower() == "amount"]
    for value in seen:
        # An object was read as a list of its members.
        inner = (
            [each[1] for each in value if isinstance(each, tuple)]
            if isinstance(value, list)
            else []
        )
        yield from _numbers(inner or value)
    if default is not None and all(value is None for value in seen):
        yield Decimal(default)


def _is_above(amount: Decimal) -> bool:
    return amount.is_nan() or amount >= _LIMIT


def _decide(kind: str, body: str) -> PolicyVerdict:
    return _SETS[kind].decide(question("crm__pay", body)).verdict


@pytest.mark.parametrize("kind", sorted(_SETS))
@given(members=_members)
@example(members=[("amount", "1"), ("amount", "500")])
@example(members=[("amount", "500"), ("amount", "1")])
@example(members=[("Amount", "500")])
@example(members=[])
def test_no_way_to_write_a_large_amount_is_allowed(
    kind: str, members: list[tuple[str, str]]
) -> None:
    body = "{" + ", ".join(f'"{name}": {value}' for name, value in members) + "}"
    verdict = _decide(kind, body)
    if any(map(_is_above, _readings(body, 500 if kind == "default" else None))):
        assert verdict is PolicyVerdict.DENY


@given(amount=st.decimals(-1000, 1000, places=4))
def test_a_plain_amount_is_decided_by_its_value(amount: Decimal) -> None:
    expected = PolicyVerdict.DENY if amount >= _LIMIT else PolicyVerdict.ALLOW
    assert _decide("number", f'{{"amount": {amount}}}') is expected


@given(amount=st.integers(-(2**53), 2**53))
def test_a_plain_whole_amount_is_decided_by_its_value(amount: int) -> None:
    expected = PolicyVerdict.DENY if amount >= _LIMIT else PolicyVerdict.ALLOW
    assert _decide("integer", f'{{"amount": {amount}}}') is expected


@pytest.mark.parametrize("size", [1024 * 1024, 8 * 1024 * 1024])
@pytest.mark.parametrize("kind", sorted(_SETS))
def test_a_large_amount_behind_a_megabyte_is_not_allowed(kind: str, size: int) -> None:
    filling = json.dumps("a" * size)
    assert _decide(kind, f'{{"x": {filling}, "amount": 500}}') is PolicyVerdict.DENY
    assert _decide(kind, f'{{"amount": 500, "x": {filling}}}') is PolicyVerdict.DENY


@pytest.mark.parametrize("depth", [100, 1000, 10_000, 1_000_000])
def test_a_large_amount_beside_a_deep_nest_is_not_allowed(depth: int) -> None:
    nest = "[" * depth + "]" * depth
    deep = '{"x":' * depth + "1" + "}" * depth
    for filling in (nest, deep):
        assert _decide("number", f'{{"x": {filling}, "amount": 500}}') is PolicyVerdict.DENY
        assert _decide("number", f'{{"amount": {filling}}}') is PolicyVerdict.DENY


@given(raw=st.binary(max_size=60))
def test_bytes_that_are_no_arguments_are_never_allowed(raw: bytes) -> None:
    asked = question("crm__pay")
    verdict = _SETS["number"].decide(replace(asked, arguments=raw)).verdict
    try:
        usable = raw == b"" or isinstance(json.loads(raw), dict)
    except (ValueError, RecursionError):
        usable = False
    assert usable or verdict is PolicyVerdict.DENY
