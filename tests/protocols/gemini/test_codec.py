"""Requests of Gemini are read strictly in both spellings; only the output limit is rewritten."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code, Reason
from ringfence.protocols.gemini import GeminiCodec

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts" / "gemini"
CODEC = GeminiCodec()
REASON = Reason(code=Code.BUDGET_EXHAUSTED, message="The budget is spent.")


def parse(raw: bytes, *, stream: bool = False) -> ModelRequest:
    return CODEC.parse(raw, path_model="gemini-3-flash", path_stream=stream)


def rewrite(raw: bytes, limit: int | None) -> bytes:
    return CODEC.rewrite(parse(raw), model="other", output_limit=limit, inject_usage=True)


def code_of(raw: bytes) -> str | None:
    try:
        parse(raw)
    except PeerError as error:
        return error.code
    return None


def test_a_request_of_the_sdk_is_read() -> None:
    raw = (TRANSCRIPTS / "stream_tool.request.json").read_bytes()
    request = parse(raw, stream=True)
    assert request.dialect is Dialect.GEMINI
    assert (request.model, request.stream) == ("gemini-3-flash", True)
    assert (request.output_limit, request.answers) == (2048, 1)
    assert request.tools == ("get_weather",)
    assert [json.loads(content)["role"] for content in request.messages] == [
        "user",
        "model",
        "user",
    ]
    assert [raw[a:b] for a, b in request.message_spans] == list(request.messages)
    assert not request.priced_fields + request.outside_inputs + request.hosted_tools
    assert (request.images, request.media) == (0, 0)


def test_images_files_and_hosted_tools_of_the_sdk_are_seen() -> None:
    request = parse((TRANSCRIPTS / "whole_hosted.request.json").read_bytes())
    uri = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    assert (request.images, request.media, request.answers) == (1, 0, 2)
    assert request.outside_inputs == (Feature("fileData", uri),)
    assert request.provider_objects == (uri,)
    assert request.hosted_tools == (Feature("googleSearch"),)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"contents":[],"generationConfig":{"maxOutputTokens":5,"candidateCount":3}}',
        b'{"contents":[],"generation_config":{"max_output_tokens":5,"candidate_count":3}}',
        b'{"contents":[],"generationConfig":{"max_output_tokens":5,"candidateCount":3}}',
    ],
)
def test_both_spellings_are_read_and_rewritten(raw: bytes) -> None:
    request = parse(raw)
    assert (request.output_limit, request.answers) == (5, 3)
    assert rewrite(raw, 4) == raw.replace(b":5", b":4")
    assert rewrite(raw, 5) == rewrite(raw, None) == raw


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        (
            b'{"contents": []}',
            b'{"generationConfig":{"maxOutputTokens":7},"contents": []}',
        ),
        (
            b'{"contents":[],"generationConfig":null}',
            b'{"contents":[],"generationConfig":{"maxOutputTokens":7}}',
        ),
        (
            b'{"contents":[],"generation_config":{ }}',
            b'{"contents":[],"generation_config":{"maxOutputTokens":7 }}',
        ),
        (
            b'{"generation_config":{"seed":1},"contents":[]}',
            b'{"generation_config":{"maxOutputTokens":7,"seed":1},"contents":[]}',
        ),
        (
            b'{"contents":[],"generationConfig":{"maxOutputTokens":null}}',
            b'{"contents":[],"generationConfig":{"maxOutputTokens":7}}',
        ),
    ],
)
def test_a_missing_limit_is_written_where_it_belongs(raw: bytes, sent: bytes) -> None:
    assert rewrite(raw, 7) == sent
    assert parse(sent).output_limit == 7


def test_a_request_that_was_stored_without_places_is_rewritten_alike() -> None:
    raw = b'{"contents":[],"generation_config":{"max_output_tokens":5}}'
    plain = ModelRequest(dialect=Dialect.GEMINI, body=raw, model="m", output_limit=5)
    sent = CODEC.rewrite(plain, model="m", output_limit=4, inject_usage=False)
    assert sent == rewrite(raw, 4)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"contents":{}}',
        b'{"contents":["x"]}',
        b'{"contents":[{"parts":{}}]}',
        b'{"contents":[{"parts":["x"]}]}',
        b'{"contents":[],"contents":[]}',
        b'{"contents":[],"model":"models/other"}',
        b'{"contents":[],"systemInstruction":"x"}',
        b'{"contents":[],"tools":{}}',
        b'{"contents":[],"tools":["x"]}',
        b'{"contents":[],"tools":[{"functionDeclarations":{}}]}',
        b'{"contents":[],"tools":[{"functionDeclarations":[{}]}]}',
        b'{"contents":[],"generationConfig":5}',
        b'{"contents":[],"generationConfig":{"maxOutputTokens":"5"}}',
        b'{"contents":[],"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":2}}',
        b'{"contents":[],"generationConfig":{"maxOutputTokens":1,"max_output_tokens":2}}',
        b'{"contents":[],"generationConfig":{},"generation_config":{}}',
        b'{"contents":[],"cachedContent":"a","cached_content":"b"}',
        b'{"contents":[],"tools":[{"googleSearch":{},"google_search":{}}]}',
        b'{"contents":[{"parts":[{"inlineData":{},"inline_data":{}}]}]}',
        b'{"contents":[{"parts":[{"inlineData":{"mimeType":"a","mime_type":"image/b"}}]}]}',
        b'{"contents":[{"parts":[{"text":"a"}],"parts":[{"fileData":{}}]}]}',
        b'{"contents":[{"parts":[{"text":"\\ud800"}]}]}',
        b'{"contents":[{"parts":[{"text":"\xff"}]}]}',
        b'{"contents":[]} {}',
    ],
)
def test_what_two_readers_could_read_differently_is_refused(raw: bytes) -> None:
    assert code_of(raw) == "request_malformed"


@given(st.binary(max_size=200))
def test_no_bytes_raise_another_error(raw: bytes) -> None:
    assert code_of(raw) == "request_malformed"


@given(st.integers(0, 900), st.integers(0, 255), st.sampled_from(["stream_tool", "whole_hosted"]))
def test_no_damaged_request_raises_another_error(at: int, byte: int, name: str) -> None:
    raw = bytearray((TRANSCRIPTS / f"{name}.request.json").read_bytes())
    raw[at % len(raw)] = byte
    assert code_of(bytes(raw)) in {None, "request_malformed"}


def test_the_error_document_and_the_stop_are_of_the_same_form() -> None:
    document = json.loads(CODEC.error_body(402, REASON))
    assert document["error"]["code"] == 402
    stop = CODEC.stream_stop(REASON)
    assert stop.startswith(b'data: {"error":')
    assert stop.endswith(b"\n\n")
    assert json.loads(stop.removeprefix(b"data: ")) == document


def test_the_keep_alive_is_no_comment() -> None:
    assert CODEC.stream_comment() == b"\n"


@pytest.mark.parametrize("name", ["maxOutputTokens", "max_output_tokens"])
def test_an_output_limit_of_zero_is_refused(name: str) -> None:
    body = {"contents": [], "generationConfig": {name: 0}}
    with pytest.raises(PeerError, match="at least 1"):
        CODEC.parse(json.dumps(body).encode(), path_model="g")
