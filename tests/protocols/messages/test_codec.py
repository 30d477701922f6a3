"""Requests of Anthropic Messages are read strictly and rewritten in no byte more than is meant."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code, Reason
from ringfence.protocols.messages import MessagesCodec

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts" / "anthropic"
CODEC = MessagesCodec()
REASON = Reason(code=Code.BUDGET_EXHAUSTED, message="The budget is spent.")
HI = [{"role": "user", "content": "Hi"}]


def body(**fields: object) -> bytes:
    return json.dumps({"model": "claude", "max_tokens": 4000, "messages": HI, **fields}).encode()


def parse(**fields: object) -> ModelRequest:
    return CODEC.parse(body(**fields))


def content(*blocks: object) -> ModelRequest:
    return parse(messages=[{"role": "user", "content": list(blocks)}])


def rewrite(request: ModelRequest, model: str = "claude", limit: int | None = None) -> bytes:
    return CODEC.rewrite(request, model=model, output_limit=limit, inject_usage=True)


def refused(raw: bytes) -> str:
    with pytest.raises(PeerError) as caught:
        CODEC.parse(raw)
    return caught.value.code


def test_a_request_of_the_sdk_is_read() -> None:
    raw = (TRANSCRIPTS / "stream_tool.request.json").read_bytes()
    request = CODEC.parse(raw)
    assert request.dialect is Dialect.MESSAGES
    assert (request.model, request.stream, request.output_limit) == ("claude-sonnet-5", True, 2048)
    assert request.tools == ("get_weather",)
    assert request.client_ids == (("session_id", "5f0c6a"),)
    assert [json.loads(message)["role"] for message in request.messages] == [
        "user",
        "assistant",
        "user",
    ]
    assert [raw[a:b] for a, b in request.message_spans] == list(request.messages)
    assert not request.priced_fields + request.outside_inputs + request.hosted_tools
    assert (request.images, request.media) == (0, 0)


def test_images_documents_and_hosted_tools_of_the_sdk_are_seen() -> None:
    request = CODEC.parse((TRANSCRIPTS / "whole_hosted.request.json").read_bytes())
    assert (request.images, request.media) == (1, 1)
    assert request.hosted_tools == (Feature("web_search", "web_search_20260318"),)
    assert request.tools == ("get_weather",)


def test_a_missing_output_limit_is_left_to_the_gateway() -> None:
    raw = b'{"model":"m","messages":[]}'
    request = CODEC.parse(raw)
    assert request.output_limit is None
    assert rewrite(request, "m", 7) == b'{"max_tokens":7,"model":"m","messages":[]}'


def test_rewriting_changes_nothing_else() -> None:
    raw = b' {"max_tokens" : 9,\n"model":"a","messages":[ {"role":"user","content":"\\u00e9"} ]}'
    request = CODEC.parse(raw)
    assert rewrite(request, "a", 9) == raw
    assert rewrite(request, 'b"', 5) == raw.replace(b": 9", b": 5").replace(b'"a"', b'"b\\""')


def test_a_request_that_was_stored_without_places_is_rewritten_alike() -> None:
    request = parse()
    plain = ModelRequest(
        dialect=Dialect.MESSAGES, body=request.body, model="claude", output_limit=4000
    )
    assert rewrite(plain, "b", 5) == rewrite(request, "b", 5)


def test_the_thinking_budget_stays_below_a_lowered_limit() -> None:
    request = parse(thinking={"type": "enabled", "budget_tokens": 3000})
    assert json.loads(rewrite(request, limit=3001))["thinking"]["budget_tokens"] == 3000
    assert json.loads(rewrite(request, limit=3000))["thinking"]["budget_tokens"] == 2999
    assert json.loads(rewrite(request, limit=1025))["thinking"]["budget_tokens"] == 1024


def test_a_limit_that_leaves_no_room_for_thinking_is_refused() -> None:
    request = parse(thinking={"type": "enabled", "budget_tokens": 3000})
    with pytest.raises(PeerError) as caught:
        rewrite(request, limit=1024)
    assert caught.value.code == Code.LIMIT_REACHED


@pytest.mark.parametrize(
    "thinking", [None, {"type": "adaptive"}, {"type": "disabled"}, {"budget_tokens": None}]
)
def test_thinking_without_a_budget_needs_no_room(thinking: object) -> None:
    assert json.loads(rewrite(parse(thinking=thinking), limit=10))["thinking"] == thinking


def test_a_limit_of_the_client_is_left_with_its_own_thinking_budget() -> None:
    request = parse(thinking={"type": "enabled", "budget_tokens": 5000})
    assert rewrite(request, limit=4000) == request.body


@pytest.mark.parametrize(
    ("user_id", "ids"),
    [
        ('{"device_id":"d","session_id":"s1"}', (("session_id", "s1"),)),
        ("user_ab_account_cd_session_5f0c", (("session_id", "5f0c"),)),
        ("somebody", ()),
        ('{"session_id":7}', ()),
        ("{", ()),
        (None, ()),
    ],
)
def test_the_session_of_claude_code_is_found(
    user_id: str | None, ids: tuple[tuple[str, str], ...]
) -> None:
    assert parse(metadata={"user_id": user_id}).client_ids == ids


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"model":"m"}',
        b'{"messages":[]}',
        b'{"model":5,"messages":[]}',
        b'{"model":"m","messages":{}}',
        b'{"model":"m","messages":["text"]}',
        b'{"model":"m","messages":[]} x',
        b'{"model":"m","messages":[],"max_tokens":-1}',
        b'{"model":"m","messages":[],"max_tokens":1.5}',
        b'{"model":"m","messages":[],"stream":"yes"}',
        b'{"model":"m","messages":[],"tools":{}}',
        b'{"model":"m","messages":[],"tools":["x"]}',
        b'{"model":"m","messages":[],"tools":[{"type":7}]}',
        b'{"model":"m","messages":[],"mcp_servers":"x"}',
        b'{"model":"m","model":"n","messages":[]}',
        b'{"model":"m","mod\\u0065l":"n","messages":[]}',
        b'{"model":"m","messages":[],"max_tokens":1,"max_tokens":2}',
        b'{"model":"m","messages":[],"tools":[{"name":"a","name":"b"}]}',
        b'{"model":"m","messages":[],"tools":[{"name":"a","input_schema":{"x":1,"x":2}}]}',
        b'{"model":"m","messages":[],"metadata":{"user_id":"a","user_id":"b"}}',
        b'{"model":"m","messages":[],"service_tier":{"a":1,"a":2}}',
        b'{"model":"m","messages":[{"content":[{"type":"image","type":"text","source":{}}]}]}',
        b'{"model":"m","messages":[{"content":[{"type":"image"}],"content":"Hi"}]}',
        b'{"model":"m","messages":[],"x":NaN}',
        b'{"model":"m\xff","messages":[]}',
        b'{"model":"\\ud800","messages":[]}',
    ],
)
def test_what_two_readers_could_read_differently_is_refused(raw: bytes) -> None:
    assert refused(raw) == "request_malformed"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_raise_another_error(raw: bytes) -> None:
    try:
        CODEC.parse(raw)
    except PeerError as error:
        code = error.code
    else:
        code = "request_malformed"
    assert code == "request_malformed"


@given(st.integers(0, 900), st.integers(0, 255))
def test_no_damaged_request_raises_another_error(at: int, byte: int) -> None:
    raw = bytearray((TRANSCRIPTS / "stream_tool.request.json").read_bytes())
    raw[at % len(raw)] = byte
    try:
        CODEC.parse(bytes(raw))
    except PeerError as error:
        code = error.code
    else:
        code = "request_malformed"
    assert code == "request_malformed"


def test_the_error_document_and_the_stop_are_of_the_same_form() -> None:
    document = json.loads(CODEC.error_body(402, REASON))
    assert document["type"] == "error"
    assert document["error"]["message"] == REASON.message
    stop = CODEC.stream_stop(REASON)
    assert stop.startswith(b"event: error\ndata: ")
    assert stop.endswith(b"\n\n")
    assert json.loads(stop.split(b"data: ")[1]) == document


def test_the_keep_alive_is_the_ping_of_the_api() -> None:
    assert CODEC.stream_comment() == b'event: ping\ndata: {"type":"ping"}\n\n'
