import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.tool_rule import ToolFailure
from ringfence.protocols.tool_result import (
    EMPTY,
    cut,
    error,
    failure_text,
    noted,
    read,
    replaced,
    status_in,
)


def raw(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def test_a_result_is_read_as_far_as_governance_needs() -> None:
    found = read(raw(content=[text("a"), {"type": "image", "data": "x"}, text("b")], isError=True))
    assert found is not None
    assert (found.texts, found.is_error, found.is_empty, found.is_whole) == (
        ("a", "b"),
        True,
        False,
        True,
    )


@pytest.mark.parametrize("document", [b"", b"7", b"{}", b'{"content":7}', b'{"content":[7]}'])
def test_what_is_no_result_is_told(document: bytes) -> None:
    assert read(document) is None


@pytest.mark.parametrize(
    ("fields", "is_empty"),
    [
        ({"content": []}, True),
        ({"content": [text("")]}, True),
        ({"content": [], "structuredContent": {}}, True),
        ({"content": [], "structuredContent": {"n": 0}}, False),
        ({"content": [{"type": "image", "data": "x"}]}, False),
        ({"content": [text("0")]}, False),
        ({"resultType": "input_required"}, False),
    ],
)
def test_a_result_that_holds_nothing_is_empty(fields: dict[str, object], *, is_empty: bool) -> None:
    found = read(raw(**fields))
    assert found is not None
    assert found.is_empty is is_empty


def test_one_that_asks_for_more_is_not_whole() -> None:
    found = read(raw(resultType="input_required", inputRequests={}))
    assert found is not None
    assert not found.is_whole


@pytest.mark.parametrize(
    ("fields", "document"),
    [
        ({"content": [text("x")], "structuredContent": {"id": 7}}, b'{"id": 7}'),
        ({"content": [text('{"id": 7}')]}, b'{"id": 7}'),
        ({"content": [text("done")]}, b'{"text":"done"}'),
        ({"content": [{"type": "image"}]}, b'{"text":""}'),
    ],
)
def test_a_result_is_one_document(fields: dict[str, object], document: bytes) -> None:
    found = read(raw(**fields))
    assert found is not None
    assert found.document == document


def test_a_note_is_added_and_everything_else_stays() -> None:
    result = json.loads(noted(raw(content=[text("a")], structuredContent={"n": 1}, x=2), "Old."))
    assert result["content"][0] == text("a")
    assert result["content"][1]["text"].startswith("[Note from Ringfence, not part")
    assert "Old." in result["content"][1]["text"]
    assert (result["structuredContent"], result["x"]) == ({"n": 1}, 2)


def test_an_error_can_be_said_in_other_words() -> None:
    result = json.loads(replaced(raw(content=[text("E42")], isError=True, x=1), "Wait."))
    assert result == {"content": [text("Wait.")], "isError": True, "x": 1}
    assert json.loads(error("No.")) == {"content": [text("No.")], "isError": True}
    assert not json.loads(EMPTY).get("isError")


@given(st.text(max_size=40), st.integers(min_value=1, max_value=9))
def test_the_pieces_of_a_text_are_the_whole_text(words: str, length: int) -> None:
    found = read(raw(content=[text(words), text("end")]))
    assert found is not None
    pieces, at, whole = [], 0, 1
    while at < whole:
        piece, end, whole = cut(found, at, length + 3)
        assert end > at
        pieces.append(piece)
        at = end
    assert "".join(pieces) == f"{words}\nend".encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("HTTP 429 Too Many Requests", 429),
        ("Request failed with status code 503", 503),
        ("error: 401", 401),
        ("Error (404): no such ticket", 404),
        ("the invoice has 404 lines", 0),
        ("status: 200", 0),
        ("x" * 500 + " HTTP 500", 0),
    ],
)
def test_a_status_is_found_where_servers_say_it(said: str, status: int) -> None:
    assert status_in(said) == status


def test_every_failure_has_its_words() -> None:
    for failure in ToolFailure:
        assert failure_text("crm__get", failure, "why").endswith("It said: why")


@pytest.mark.parametrize(
    "document",
    [
        b'{"content":[],"content":[{"type":"text","text":"b"}]}',
        b'{"content":[{"type":"text","text":"a"}],"isError":false,"isError":true}',
        b'{"content":[{"type":"text","text":"a","text":"b"}]}',
        b'{"content":[{"type":"text","te\\u0078t":"a","text":"b"}]}',
        b'{"content":[],"structuredContent":{"a":1},"structuredContent":{"a":2}}',
        b'{"content":[{"type":"text","text":"\\ud800"}]}',
        b'{"content":[{"type":"text","text":"\xff"}]}',
    ],
)
def test_a_result_that_two_readers_could_read_in_two_ways_is_none(document: bytes) -> None:
    assert read(document) is None


def test_what_is_structured_is_read_at_every_level_where_it_is_judged() -> None:
    twice = b'{"content":[],"structuredContent":{"a":{"b":1,"b":2}}}'
    assert read(twice) is not None
    assert read(twice, is_judged=True) is None
    once = b'{"content":[],"structuredContent":{"a":{"b":1},"c":{"b":2}}}'
    assert read(once, is_judged=True) is not None
