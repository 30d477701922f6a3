import json

import pytest

from ringfence.decisions.policy.argument import MAX_BYTES, Unheld, Wanted, hold, wanted
from ringfence.decisions.policy.shape import shape_of

_SCHEMA = {
    "properties": {
        "amount": {"type": "number"},
        "count": {"type": "integer"},
        "to": {"type": "string"},
        "force": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "limit": {"type": "number", "default": 500},
        "maybe": {"type": ["number", "null"]},
        "must": {"type": "integer"},
        "where": {"properties": {"city": {"type": "string"}, "zip": {"type": "string"}}},
        "any": {},
        "price": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\d*\.?\d*$"}]},
    },
    "required": ["must"],
}
_SHAPE = shape_of(json.dumps(_SCHEMA).encode())


def _hold(arguments: str | bytes, *names: str) -> dict[str, object]:
    raw = arguments if isinstance(arguments, bytes) else arguments.encode()
    parts = wanted([("arguments", *name.split(".")) for name in names], [])
    assert parts is not None
    return hold(raw, _SHAPE, parts)


def _decimal(text: str) -> object:
    return {"__extn": {"fn": "decimal", "arg": text}}


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ("100", "100.0000"),
        ("99.99", "99.9900"),
        ("1e2", "100.0000"),
        ("1.0e-4", "0.0001"),
        ("-0.0", "0.0000"),
        ("-12.5", "-12.5000"),
        ("100.00000000000000000000000000000000000", "100.0000"),
        ("9007199254740992", "9007199254740992"),
    ],
)
def test_a_number_is_held_exactly(written: str, held: str) -> None:
    if len(held) > 15:
        with pytest.raises(Unheld):
            _hold(f'{{"amount": {written}}}', "amount")
    else:
        assert _hold(f'{{"amount": {written}}}', "amount") == {"amount": _decimal(held)}


@pytest.mark.parametrize(
    "written",
    [
        "0.00001",
        "99.999999999999999999999999999999",
        "100.00000000000000000000000000000000001",
        "922337203685477.5808",
        "1e400",
        "-1e999999999999999999999",
        "123456789012.3456",
        "NaN",
        "Infinity",
        "-Infinity",
        '"100"',
        '"1e2"',
        "true",
        "[100]",
        '{"amount": 100}',
    ],
)
def test_a_number_that_cannot_be_held_exactly_is_refused(written: str) -> None:
    with pytest.raises(Unheld):
        _hold(f'{{"amount": {written}}}', "amount")


@pytest.mark.parametrize(
    ("written", "held"),
    [("7", 7), ("7.0", 7), ("7e2", 700), ("-0", 0), (str(2**53), 2**53), (str(2**62), 2**62)],
)
def test_a_whole_number_is_held(written: str, held: int) -> None:
    assert _hold(f'{{"count": {written}}}', "count") == {"count": held}


@pytest.mark.parametrize(
    "written", [str(2**53 + 1), str(2**63), str(-(2**63) - 1), "1.5", "1e19", "9" * 5000, "true"]
)
def test_a_whole_number_that_readers_could_differ_on_is_refused(written: str) -> None:
    with pytest.raises(Unheld):
        _hold(f'{{"count": {written}}}', "count")


@pytest.mark.parametrize(
    "arguments",
    [
        '{"amount": 1, "amount": 1000}',
        '{"amount": 1, "where": {"a": {"b": 1, "b": 2}}}',
        '{"amount": 1} {}',
        '{"amount": 1',
        "[1]",
        "3",
        '{"amount": 1, "x": NaN}',
        b'{"amount": 1, "x": "\xff"}',
        "\ufeff{}",
        '{"amount": 1, "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"amount": 1, "x": [' + "1," * 60_000 + "1]}",
        '{"amount": 1, "x": "' + "a" * MAX_BYTES + '"}',
    ],
)
def test_arguments_that_are_not_one_usable_object_are_refused(arguments: str | bytes) -> None:
    with pytest.raises(Unheld):
        _hold(arguments, "amount")


def test_a_name_in_another_case_is_refused() -> None:
    with pytest.raises(Unheld, match="`amount` in another case"):
        _hold('{"Amount": 1000}', "amount")


def test_null_is_dropped_where_it_may_stand_and_refused_elsewhere() -> None:
    assert _hold('{"maybe": null}', "maybe") == {}
    with pytest.raises(Unheld, match="null"):
        _hold('{"amount": null}', "amount")


def test_what_must_be_there_is_not_taken_for_absent() -> None:
    with pytest.raises(Unheld, match="`must` is missing"):
        _hold("{}", "must")
    assert _hold("{}", "amount") == {}


def test_what_the_tool_takes_by_default_is_what_is_decided_on() -> None:
    assert _hold("{}", "limit") == {"limit": _decimal("500.0000")}


def test_what_no_schema_names_cannot_be_read_but_may_be_absent() -> None:
    assert _hold("{}", "secret") == {}
    with pytest.raises(Unheld, match="`secret` is not in the tool's schema"):
        _hold('{"secret": 1}', "secret")


def test_what_nobody_reads_is_left_alone() -> None:
    assert _hold('{"amount": 1, "any": [1.5, null], "more": 2e400}', "amount") == {
        "amount": _decimal("1.0000")
    }


def test_what_has_no_single_type_is_refused_when_read() -> None:
    with pytest.raises(Unheld, match="`any` must be of no single type"):
        _hold('{"any": 1}', "any")


def test_lists_and_objects_are_held_with_their_parts() -> None:
    assert _hold('{"tags": ["a", null, "b"]}', "tags") == {"tags": ["a", "b"]}
    whole = '{"where": {"city": "Ulm", "zip": "8"}}'
    assert _hold(whole, "where") == {"where": {"city": "Ulm", "zip": "8"}}
    assert _hold(whole, "where.city") == {"where": {"city": "Ulm"}}
    with pytest.raises(Unheld, match="street"):
        _hold('{"where": {"street": "x"}}', "where")


def test_half_a_character_is_refused() -> None:
    with pytest.raises(Unheld):
        _hold('{"to": "\\ud800"}', "to")


def test_a_name_in_an_answer_is_short_and_printable() -> None:
    name = "a`\\u0007" + "b" * 200
    with pytest.raises(Unheld) as caught:
        _hold(f'{{"where": {{"{name}": 1}}}}', "where")
    assert len(str(caught.value)) < 100
    assert "\x07" not in str(caught.value)


def test_no_arguments_are_an_empty_object() -> None:
    assert _hold(b"", "amount") == {}


def test_what_is_only_looked_for_is_read_no_further_than_its_parts() -> None:
    reads, tests = [("arguments", "a", "b")], [("arguments", "a"), ("arguments", "c")]
    assert wanted(reads, tests) == Wanted({"a": Wanted({"b": Wanted()}), "c": Wanted()})
    assert wanted([("arguments", "a"), *reads], []) == Wanted({"a": Wanted()})
    assert wanted([("time", "hour")], []) is None


@pytest.mark.parametrize("written", ["500", '"500"', '"500.00"', "5e2"])
def test_a_number_that_tools_take_as_text_is_one_either_way(written: str) -> None:
    assert _hold(f'{{"price": {written}}}', "price") == {"price": _decimal("500.0000")}


@pytest.mark.parametrize(
    "written", ['"+500"', '"0500"', '"5e2"', '" 500"', '"500."', '".5"', '"５00"', '"NaN"', '""']
)
def test_text_that_readers_could_take_for_other_numbers_is_refused(written: str) -> None:
    with pytest.raises(Unheld):
        _hold(f'{{"price": {written}}}', "price")
