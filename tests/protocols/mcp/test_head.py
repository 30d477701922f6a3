import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.protocols.mcp import head, message, request
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.request import VERSION, Asked


def asked(version: str = "2026-07-28", name: str = "echo") -> Asked:
    params = {"name": name, "_meta": {VERSION: version}}
    document = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return request.read(message.read(json.dumps(document).encode()))


def test_headers_that_are_written_fit_their_request() -> None:
    for name in ("echo", "schöne grüße", " spaced ", "=?base64?x?="):
        head.check(asked(name=name), head.read(head.written("tools/call", name)))


@pytest.mark.parametrize(
    "change",
    [
        {b"mcp-method": b"tools/list"},
        {b"mcp-name": b"other"},
        {b"mcp-name": b"=?base64?%%%?="},
        {b"mcp-protocol-version": b"2025-11-25"},
    ],
)
def test_headers_that_say_another_thing_are_refused(change: dict[bytes, bytes]) -> None:
    headers = dict(head.written("tools/call", "echo"))
    with pytest.raises(McpError) as refused:
        head.check(asked(), head.read(list((headers | change).items())))
    assert refused.value.code == -32020
    for name in change:
        with pytest.raises(McpError):
            head.check(asked(), head.read([each for each in headers.items() if each[0] != name]))


@given(st.text())
def test_any_text_survives_a_header(text: str) -> None:
    value = head.encoded(text)
    assert value.isascii()
    assert b"\n" not in value
    assert head.decoded(value) == text


def test_an_unknown_revision_is_told_what_is_spoken() -> None:
    head.check_version(asked())
    with pytest.raises(McpError) as refused:
        head.check_version(asked("2031-01-01"))
    assert refused.value.data == {"supported": ["2026-07-28"], "requested": "2031-01-01"}


def test_headers_made_of_parameters_pass_as_they_are() -> None:
    found = head.read([(b"mcp-param-region", b"eu"), (b"mcp-name", b"x")])
    assert found.mirrored == [(b"mcp-param-region", b"eu")]


@pytest.mark.parametrize("name", [b"mcp-name", b"mcp-method", b"mcp-protocol-version"])
def test_a_header_that_stands_there_twice_is_refused(name: bytes) -> None:
    headers = head.written("tools/call", "echo")
    twice = [(name, b"other"), *headers]
    with pytest.raises(McpError) as refused:
        head.check(asked(), head.read(twice))
    assert refused.value.code == -32020


SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "count": {"type": "integer", "x-mcp-header": "Count"},
            "body": {"type": "string"},
        },
    }
).encode()


def test_headers_are_made_of_the_arguments_that_a_schema_wants_repeated() -> None:
    arguments = json.dumps({"region": "zürich", "count": 7, "body": "b"}).encode()
    found = dict(head.mirrored(SCHEMA, arguments))
    assert {name: head.decoded(value) for name, value in found.items()} == {
        b"mcp-param-region": "zürich",
        b"mcp-param-count": "7",
    }
    assert head.mirrored(SCHEMA, b'{"region":null}') == []
    assert head.mirrored(b'{"type":"object"}', arguments) == []
    assert head.mirrored(b'{"x-mcp-header": 7, "properties": []}', arguments) == []


def test_headers_that_contradict_the_arguments_are_refused() -> None:
    arguments = b'{"region":"eu","count":1}'
    head.check_mirrored(SCHEMA, arguments, [(b"mcp-param-region", b"eu"), (b"mcp-param-x", b"y")])
    head.check_mirrored(SCHEMA, arguments, [])
    with pytest.raises(McpError) as refused:
        head.check_mirrored(SCHEMA, arguments, [(b"mcp-param-region", b"us")])
    assert refused.value.code == -32020
