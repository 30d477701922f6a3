import json

import pytest

from ringfence.protocols import strict_json
from ringfence.protocols.mcp import message, request
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.request import Asked
from ringfence.protocols.mcp.version import Era


def asked(params: object, method: str = "tools/call") -> Asked:
    document = {"jsonrpc": "2.0", "id": 1, "method": method}
    if params is not None:
        document["params"] = params
    return request.read(message.read(json.dumps(document).encode()))


def edited(of: Asked, edits: list[tuple[int, int, bytes]]) -> object:
    return json.loads(strict_json.replace(of.message.raw, edits))["params"]


CALL = {"name": "echo", "arguments": {"text": "x"}, "x": 1}


def test_what_governance_reads_is_found() -> None:
    meta = {
        "callId": "call_1",
        "progressToken": 7,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    found = asked({**CALL, "_meta": meta})
    assert (found.name, json.loads(found.arguments)) == ("echo", {"text": "x"})
    assert (found.call_id, found.said("progressToken")) == ("call_1", b"7")
    assert found.hints == (("traceparent", "0af7651916cd43dd8448eb211c80319c"),)
    assert asked({"uri": "a://b"}, "resources/read").name == "a://b"
    assert (asked(None, "tools/list").arguments, asked(None, "ping").name) == (b"{}", "")


@pytest.mark.parametrize(
    "params",
    [
        b'{"name":"a","arguments":{"x":{"y":1,"y":2}}}',
        b'{"name":"a","arguments":[1]}',
        b'{"name":"a","ARGUMENTS":{}}',
        b'{"name":"a","_meta":{"x":1,"x":2}}',
        b'{"name":"a","arguments":{"x":NaN}}',
        b'{"name":"a","arguments":{"x":"\\ud800"}}',
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(params: bytes) -> None:
    raw = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % params
    with pytest.raises(McpError) as refused:
        request.read(message.read(raw))
    assert refused.value.status == 400


def test_only_what_is_meant_is_changed() -> None:
    found = asked({**CALL, "_meta": {"keep": 1}})
    edits = [
        *request.with_arguments(found, b'{"text":"y"}'),
        *request.with_name(found, "other"),
        *request.with_meta(found, {"keep": b"2", "new": b"3"}),
    ]
    assert edited(found, edits) == {
        "name": "other",
        "arguments": {"text": "y"},
        "_meta": {"keep": 2, "new": 3},
        "x": 1,
    }
    assert edited(asked({"name": "a"}), request.with_arguments(asked({"name": "a"}), b"{}")) == {
        "name": "a",
        "arguments": {},
    }


@pytest.mark.parametrize("params", [None, {}, {"cursor": "x"}, {"_meta": {}}, {"_meta": None}])
def test_meta_is_added_wherever_it_is_missing(params: dict[str, object] | None) -> None:
    found = asked(params, "tools/list")
    meta = {"a": b"1"}
    assert edited(found, request.with_meta(found, meta)) == {**(params or {}), "_meta": {"a": 1}}


def test_a_modern_request_must_say_who_asks() -> None:
    with pytest.raises(McpError, match="clientCapabilities"):
        request.check_modern(asked({**CALL, "_meta": {request.VERSION: "2026-07-28"}}))


def test_the_era_is_what_header_or_meta_say() -> None:
    modern = asked({**CALL, "_meta": {request.VERSION: "2026-07-28"}})
    plain = asked(CALL)
    assert request.era_of(modern, "") is Era.MODERN
    assert request.era_of(plain, "") is Era.LEGACY
    assert request.era_of(plain, "2025-06-18") is Era.LEGACY
    assert request.era_of(plain, "2030-01-01") is Era.MODERN
    assert request.era_of(asked(None, "server/discover"), "") is Era.MODERN


def test_a_legacy_server_does_not_hear_what_only_the_modern_era_says() -> None:
    meta = {request.VERSION: "2026-07-28", request.CAPABILITIES: {}, "progressToken": 7}
    found = asked({**CALL, "_meta": meta})
    edits = request.without_era(found, {"new": b"1"})
    assert edited(found, edits) == {**CALL, "_meta": {"progressToken": 7, "new": 1}}
    assert request.without_era(asked(CALL), {}) == []


@pytest.mark.parametrize(
    ("written", "turn"),
    [
        ({"turn_id": "turn-1", "session_id": "s"}, (("codex-turn", "turn-1"),)),
        (json.dumps({"root_turn_id": "turn-0", "turn_id": "turn-1"}), (("codex-turn", "turn-0"),)),
        ("no document", ()),
        (7, ()),
    ],
)
def test_codex_names_its_turn_in_meta(written: object, turn: tuple[tuple[str, str], ...]) -> None:
    meta = {"x-codex-turn-metadata": written}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    raw = json.dumps(body | {"params": {"name": "t", "_meta": meta}}).encode()
    assert request.read(message.read(raw)).hints == turn


_STATE = {"requestState": "s, 1", "inputResponses": {"a": {"action": "accept", "content": {}}}}


@pytest.mark.parametrize(
    "order",
    [
        ["requestState", "name", "inputResponses"],
        ["requestState", "inputResponses", "name", "arguments"],
        ["name", "arguments", "requestState", "inputResponses"],
        ["name", "inputResponses"],
        ["inputResponses", "requestState"],
        ["name"],
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_what_answers_a_round_is_taken_out_and_nothing_else(
    order: list[str], indent: int | None
) -> None:
    every = {"name": "echo", "arguments": {"text": "a,b"}, **_STATE}
    params = {name: every[name] for name in order}
    document = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    found = request.read(message.read(json.dumps(document, indent=indent).encode()))
    kept = {name: value for name, value in params.items() if name not in _STATE}
    assert edited(found, request.without_input(found)) == kept
    if "arguments" in kept:
        changed = [*request.without_input(found), *request.with_arguments(found, b"{}")]
        assert edited(found, changed) == kept | {"arguments": {}}


def test_a_name_that_is_no_text_is_invalid_and_one_that_is_missing_is_empty() -> None:
    assert asked({"arguments": {}}).name == ""
    assert asked({"name": "echo"}).name == "echo"
    with pytest.raises(McpError) as refused:
        asked({"name": 5})
    assert (refused.value.code, refused.value.status) == (-32602, 200)
