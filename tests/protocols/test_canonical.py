"""The canonical form agrees with the reference implementation of RFC 8785, byte for byte."""

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.event import AccountLine, Decision, Intent, Outcome, Status
from ringfence.domain.usage import Usage
from ringfence.protocols.canonical import MAX_SAFE_INTEGER, JsonValue, encode, encode_lines

integers = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
scalars = st.none() | st.booleans() | integers | st.text()
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Loose(msgspec.Struct):
    amount: float | int


class Deep(msgspec.Struct, omit_defaults=True):
    facts: dict[str, str]
    count: int = 0
    inner: "Deep | None" = None


def intent(**changes: object) -> Intent:
    event = Intent(
        format=1,
        organisation="org_1",
        time_us="1763697600000000",
        epoch=3,
        configuration="sha256:b",
        agent="agt_1",
        agent_name="triage",
        agent_version="1",
        credential="crd_1",
        chain=["user_1", "agt_1"],
        tier="api",
        action="act_1",
        action_kind="model.call",
        resource="gpt-5-mini",
        operation="chat",
        invocation="inv_1",
        root="inv_1",
        grouping="token",
        step=4,
        decision=Decision(verdict="allow"),
        reserved_nano="12345678",
        accounts=[AccountLine("agent", "agt_1", "day", "1763683200000000", "5", "4")],
    )
    return msgspec.structs.replace(event, **changes)


@given(trees)
def test_any_tree_is_encoded_as_the_reference_does(tree: JsonValue) -> None:
    assert encode(tree) == rfc8785.dumps(tree)  # type: ignore[arg-type]


@given(st.dictionaries(st.text(), st.text(), max_size=6), integers, integers)
def test_any_struct_is_encoded_as_the_reference_does(
    facts: dict[str, str], outer: int, inner: int
) -> None:
    value = Deep(facts=facts, count=outer, inner=Deep(facts=facts, count=inner))
    assert encode(value) == rfc8785.dumps(msgspec.to_builtins(value))


@pytest.mark.parametrize(
    "event",
    [
        intent(),
        intent(tools=["é", "a\x7f", '"\\\b\f\n\r\t\x00\x1f'], stream=True, depth=2),
        intent(decision=Decision(verdict="deny", facts={"\ue000": "1", "\U0001f600": "2"})),
        Outcome(
            format=1,
            organisation="org_1",
            time_us="1",
            epoch=1,
            configuration="",
            agent="agt_1",
            agent_name="a",
            agent_version="1",
            credential="crd_1",
            chain=[],
            tier="api",
            action="act_1",
            invocation="inv_1",
            root="inv_1",
            status=Status.CUT,
            usage=Usage(
                input_tokens=MAX_SAFE_INTEGER, output_tokens=0, hosted_uses={"b": 1, "a": 2}
            ),
            cost_nano="1",
            reserved_nano="2",
        ),
    ],
)
def test_events_are_encoded_as_the_reference_does(event: Intent | Outcome) -> None:
    assert encode(event) == rfc8785.dumps(msgspec.to_builtins(event))


def test_keys_are_ordered_by_utf_16_units() -> None:
    assert encode({"\ue000": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ue000":1}'.encode()


def test_the_largest_safe_integers_pass() -> None:
    assert encode([MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER]) == b"[9007199254740991,-9007199254740991]"


@pytest.mark.parametrize("number", [MAX_SAFE_INTEGER + 1, -MAX_SAFE_INTEGER - 1, 2**64, -(2**70)])
def test_an_integer_that_a_double_cannot_hold_is_refused(number: int) -> None:
    for value in ({"n": number}, [number], intent(step=number), Deep(facts={}, count=number)):
        with pytest.raises(ValueError, match="2\\^53"):
            encode(value)


def test_a_text_that_looks_like_a_long_number_passes() -> None:
    event = intent(client="a:12345678901234567890,12345678901234567890")
    assert encode(event) == rfc8785.dumps(msgspec.to_builtins(event))


@pytest.mark.parametrize("number", [0.0, 1.5, float("nan"), float("inf")])
def test_a_float_is_refused(number: float) -> None:
    for value in ({"n": number}, [number], Loose(amount=number)):
        with pytest.raises(TypeError, match="float"):
            encode(value)  # type: ignore[arg-type]


def test_a_struct_that_may_hold_floats_passes_while_it_holds_none() -> None:
    assert encode(Loose(amount=3)) == b'{"amount":3}'


def test_a_lone_surrogate_is_refused() -> None:
    for value in ("\ud800", {"\udfff": 1}, intent(client="\ud800")):
        with pytest.raises(ValueError, match="surrogates"):
            encode(value)


def test_a_key_that_is_not_a_text_is_refused() -> None:
    with pytest.raises(TypeError, match="key"):
        encode({1: "a"})  # type: ignore[dict-item]


def test_many_structs_are_the_lines_of_each() -> None:
    odd = [Deep(facts={"\ue000": "a", "😀": "b"}), Loose(amount=1), Deep(facts={}, count=7)]
    for values in (odd, odd[:1], odd[2:], [odd[2], odd[0]], []):
        assert encode_lines(values) == b"\n".join(encode(value) for value in values)


@pytest.mark.parametrize("bad", [Deep(facts={}, count=2**53), Deep(facts={"a": "\ud800"})])
def test_one_struct_without_a_canonical_form_refuses_them_all(bad: Deep) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each kind has its own text)
        encode_lines([Deep(facts={"a": "good"}), bad])


def test_a_digest_that_begins_with_digits_alone_is_no_long_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(value: object) -> bytes:
        raise AssertionError(f"taken for a long number: {value}")

    monkeypatch.setattr("ringfence.protocols.canonical._encode_slowly", refuse)
    event = intent(configuration="sha256:" + "1234567890" * 6 + "abcd")
    assert encode_lines([event, event]) == encode(event) + b"\n" + encode(event)
    with pytest.raises(AssertionError, match="long number"):
        encode(intent(step=MAX_SAFE_INTEGER + 1))


@given(st.integers(), st.text('0123456789:-[," ', max_size=40))
def test_a_long_number_is_found_beside_texts_that_look_like_one(number: int, text: str) -> None:
    event = intent(step=number, client=text, tools=[text, text])
    if abs(number) > MAX_SAFE_INTEGER:
        with pytest.raises((ValueError, TypeError)):
            encode_lines([event])
    else:
        assert encode_lines([event]) == rfc8785.dumps(msgspec.to_builtins(event))
