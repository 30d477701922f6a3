import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.protocols import strict_json

_TEXT = st.text('a\u00e9\u4e16\U0001f600"\\\n/', max_size=6)
_SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | _TEXT
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_SPACE = st.sampled_from([b"", b" ", b"\n", b"\t \r\n"])
_NAMES = st.sampled_from(["a", "b", "model", "modèle", 'q"', "\\", ""])


@st.composite
def written_objects(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, object]]]:
    """An object as some client might write it: odd spaces, escaped names, names used twice."""
    pairs = draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=6))
    out = [draw(_SPACE), b"{"]
    for place, (name, value) in enumerate(pairs):
        out += [
            b"," if place else b"",
            draw(_SPACE),
            _write_name(name, escaped=draw(st.booleans())),
        ]
        out += [draw(_SPACE), b":", draw(_SPACE)]
        out += [json.dumps(value, ensure_ascii=draw(st.booleans())).encode(), draw(_SPACE)]
    return b"".join([*out, b"}", draw(_SPACE)]), pairs


def _write_name(name: str, *, escaped: bool) -> bytes:
    if escaped:
        return b'"' + b"".join(b"\\u%04x" % ord(c) for c in name) + b'"'
    return json.dumps(name, ensure_ascii=False).encode()


def _reason(body: bytes) -> str:
    with pytest.raises(PeerError) as caught:
        strict_json.members(body)
    assert caught.value.code == "request_malformed"
    return caught.value.message


@given(written_objects())
def test_members_stand_where_the_spans_say(written: tuple[bytes, list[tuple[str, object]]]) -> None:
    body, pairs = written
    if len(dict(pairs)) < len(pairs):
        assert _reason(body).startswith("duplicate name `")
        return
    found = strict_json.members(body)
    assert [(name, json.loads(body[start:end])) for name, start, end in found] == pairs


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=6), st.binary(max_size=3))
def test_an_object_without_spaces_is_read_as_one_with_them(
    pairs: list[tuple[str, object]], before: bytes
) -> None:
    written = [
        json.dumps(pair[0]).encode() + b":" + json.dumps(pair[1], separators=(",", ":")).encode()
        for pair in pairs
    ]
    compact = before + b"{" + b",".join(written) + b"}" + before
    start, end = len(before), len(compact) - len(before)
    if len(dict(pairs)) < len(pairs):
        with pytest.raises(PeerError):
            strict_json.spans_within(compact, start, end)
        return
    found = strict_json.spans_within(compact, start, end)
    assert [(name, json.loads(compact[slice(*at)])) for name, at in found.items()] == pairs


@given(written_objects())
def test_first_wins_and_last_wins_parsers_agree_on_what_is_accepted(
    written: tuple[bytes, list[tuple[str, object]]],
) -> None:
    body, _ = written
    try:
        value = strict_json.parse(body)
    except PeerError:
        return
    assert json.loads(body) == value
    assert json.loads(body, object_pairs_hook=lambda pairs: dict(reversed(pairs))) == value


@given(st.binary(max_size=60) | written_objects().map(lambda written: written[0][:-1]))
@example(b'{"a":1,"a":2}')
@example(b'{"a":1,"a":"xx    ,", ", ":2}')
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in (strict_json.members, strict_json.parse):
        try:
            read(body)
        except PeerError as error:
            assert "\n" not in error.message  # noqa: PT017 (either outcome is right)
        else:
            json.loads(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a":1,"a":1}', "duplicate name `a`"),
        (b'{"a":1,"a":2}', "duplicate name `a`"),
        (b'{"a":1,"b":2,"a":3}', "duplicate name `a`"),
        (b'{"model":"x","mod\\u0065l":"y"}', "duplicate name `model`"),
        (b'{"mod\\u0065l":"x","model":"x","b":1}', "duplicate name `model`"),
        (b'{"a":{},"b":1,"a":{}, "c":[]}', "duplicate name `a`"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":[Infinity]}', "not valid JSON"),
        (b'{"a":-Infinity}', "not valid JSON"),
        (b'{"a":["\\ud800"]}', "not valid JSON"),
        (b'{"a":"\\udc00 and more text"}', "not valid JSON"),
        (b'{"a":"\\ud800\\u0041"}', "not valid JSON"),
        (b'{"a":["\xed\xa0\x80"]}', "not valid UTF-8 (byte 7)"),
        (b'{"a":"\xff"}', "not valid UTF-8"),
        (b'{"\xc0\x80":1}', "not valid UTF-8"),
        (b'{"a":1}{}', "trailing characters"),
        (b'{"a":1}\x00', "trailing characters"),
        (b'\xef\xbb\xbf{"a":1}', "not valid JSON"),
        (b"[1]", "not an object"),
        (b'"{}"', "not an object"),
        (b"", "not valid JSON"),
        (b'{"a":[1,]}', "trailing comma"),
        (b'{"a":"\n"}', "not valid JSON"),
        ("{}".encode("utf-16"), "not valid UTF-8"),
    ],
)
def test_what_parsers_read_differently_is_refused(body: bytes, reason: str) -> None:
    assert reason in _reason(body)


@pytest.mark.parametrize(
    "bomb",
    [b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"a":' * 100_000, b"[" * 100_000],
)
def test_deep_nesting_is_refused_and_nothing_breaks(bomb: bytes) -> None:
    assert "too deeply" in _reason(bomb) or "not an object" in _reason(bomb)
    with pytest.raises(PeerError, match=r"too deeply|more than"):
        strict_json.parse(bomb)


@pytest.mark.parametrize(
    "raw", [b'{"a":{"b":1,"b":1}}', b'[[{"a":1,"\\u0061":2}]]', b'{"a":[{},{"c":0,"c":0}]}']
)
def test_parse_finds_duplicates_at_every_level(raw: bytes) -> None:
    with pytest.raises(PeerError, match="duplicate name"):
        strict_json.parse(raw)


def test_parse_refuses_a_number_no_parser_agrees_on() -> None:
    with pytest.raises(PeerError, match="out of range"):
        strict_json.parse(b"[" + b"9" * 5000 + b"]")


@given(st.lists(_VALUES, max_size=6), st.booleans(), _SPACE)
def test_elements_stand_where_the_spans_say(
    values: list[object],
    compact: bool,  # noqa: FBT001 (drawn by name)
    space: bytes,
) -> None:
    raw = json.dumps(values, separators=(",", ":") if compact else None).encode()
    body = b'{"x":' + space + raw + space + b"}"
    start = body.index(b"[")
    spans = strict_json.elements(body, start, start + len(raw))
    assert [json.loads(body[a:b]) for a, b in spans] == values


def test_elements_with_uneven_spaces_stand_where_the_spans_say() -> None:
    body = b"[ 1 ,2,  [3] ,\n{} ]"
    spans = strict_json.elements(body, 0, len(body))
    assert [body[a:b] for a, b in spans] == [b"1", b"2", b"[3]", b"{}"]


def test_elements_of_something_else_are_refused() -> None:
    with pytest.raises(PeerError, match="not an array"):
        strict_json.elements(b'{"x":{}}', 5, 7)


def test_members_of_an_inner_object_have_positions_in_the_body() -> None:
    body = b'{"o": {"a" : 1, "b":2 } }'
    ((_, start, end),) = strict_json.members(body)
    assert strict_json.members_within(body, start, end) == [("a", 13, 14), ("b", 20, 21)]
    with pytest.raises(PeerError, match="duplicate name `a`"):
        strict_json.members_within(b'{"o":{"a":1,"a":1}}', 5, 18)


def test_counts_are_plain_whole_numbers() -> None:
    assert strict_json.count(b"0", "n") == 0
    assert strict_json.count(b"12", "n") == 12
    assert strict_json.count(b"null", "n") is None
    for raw in (b"1.0", b"1e3", b"-1", b"true", b'"1"', b"9" * 30):
        with pytest.raises(PeerError, match="`n`"):
            strict_json.count(raw, "n")


def test_texts_and_flags_have_their_type() -> None:
    assert strict_json.text(b'"g\\u0070t"', "model") == "gpt"
    assert strict_json.flag(b"true", "stream") is True
    assert strict_json.flag(b"null", "stream") is False
    for read, raw in ((strict_json.text, b"1"), (strict_json.flag, b"1")):
        with pytest.raises(PeerError, match="`x` is not"):
            read(raw, "x")


def test_an_error_shows_a_clients_text_on_one_short_line() -> None:
    assert strict_json.quote("a`\n" + "x" * 100) == "`a��" + "x" * 57 + "…`"


@given(st.binary(max_size=30), st.data())
def test_replacing_touches_only_what_is_named(body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    edits = [(start, end, b"<>") for start, end in spans]
    expected = body
    for start, end in reversed(spans):
        expected = expected[:start] + b"<>" + expected[end:]
    assert strict_json.replace(body, reversed(edits)) == expected


def test_overlapping_edits_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="1"):
        strict_json.replace(b"abcd", [(0, 2, b""), (1, 3, b"")])


def test_no_edit_gives_the_same_object() -> None:
    body = b"{}"
    assert strict_json.replace(body, []) is body


@pytest.mark.parametrize("body", [b"{}", b"{ }", b' {"b":2}', b'{ "b" : 2 }'])
def test_a_member_is_added_in_front(body: bytes) -> None:
    changed = strict_json.replace(body, [strict_json.insertion(body, 0, "a", b"1")])
    assert json.loads(changed) == {"a": 1, **json.loads(body)}
    assert len(changed) <= len(body) + len(b'"a":1,')


def test_a_member_is_given_a_value_once() -> None:
    body = b'{"a": 1}'
    found = strict_json.spans(body)
    assert strict_json.assign(body, found, "a", b"1") == []
    assert strict_json.replace(body, strict_json.assign(body, found, "a", b"2")) == b'{"a": 2}'
    assert json.loads(strict_json.replace(body, strict_json.assign(body, found, "b", b"3"))) == {
        "a": 1,
        "b": 3,
    }


def test_a_known_name_in_another_case_is_refused() -> None:
    known = {"model", "user"}
    strict_json.refuse_lookalikes(["model", "other", "Other"], known)
    for name in ("Model", "MODEL", "u\u017fer"):
        with pytest.raises(PeerError, match="in another case"):
            strict_json.refuse_lookalikes([name], known)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":[' + b"1," * strict_json.MAX_VALUES + b"1]}",
        b'{"a":[' + b'"\\\\",' * strict_json.MAX_VALUES + b"1]}",
        b'{"a":[' + b"{}," * strict_json.MAX_VALUES + b"{}]}",
        b'{"a":[' + b'{"":1},' * strict_json.MAX_MEMBERS + b'{"":1}]}',
        b"{" + b",".join(b'"%d":1' % n for n in range(strict_json.MAX_NAMES + 1)) + b"}",
    ],
)
def test_a_body_of_too_many_values_is_refused(body: bytes) -> None:
    with pytest.raises(PeerError, match="more than"):
        strict_json.spans(body)


def test_what_stands_in_texts_does_not_count_as_values() -> None:
    prose = json.dumps({"a": 'x, "{[:]}" \\' * 300_000}).encode()
    assert list(strict_json.spans(prose)) == ["a"]
    assert strict_json.parse(prose) == json.loads(prose)


def test_an_array_of_too_many_elements_is_refused() -> None:
    raw = b"[" + b"1," * strict_json.MAX_ELEMENTS + b"1]"
    with pytest.raises(PeerError, match="more than 100000 elements"):
        strict_json.elements(raw, 0, len(raw))


def test_a_part_of_too_many_values_is_not_built() -> None:
    with pytest.raises(PeerError, match="more than 100000 values"):
        strict_json.parse(b"[" + b"{}," * strict_json.MAX_BUILT + b"{}]")


@given(written_objects())
def test_the_weight_of_a_body_is_never_below_its_values(
    written: tuple[bytes, list[tuple[str, object]]],
) -> None:
    body, pairs = written
    assert strict_json.weight(body, 1) >= sum(_values_in(value) for _, value in pairs)


def _values_in(value: object) -> int:
    inner: list[object] = []
    if isinstance(value, list | dict):
        inner = list(value.values() if isinstance(value, dict) else value)
    return 1 + sum(map(_values_in, inner))
