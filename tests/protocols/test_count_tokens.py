"""Counting tokens is free, makes no output, and admits what `/v1/messages` admits."""

import json
from pathlib import Path

import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Answer, Feature
from ringfence.domain.model import Dialect
from ringfence.domain.usage import Usage
from ringfence.domain.verdict import Code, Reason
from ringfence.protocols.count_tokens import CountTokensCodec

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts" / "anthropic"
CODEC = CountTokensCodec()


def test_a_request_of_the_sdk_is_read() -> None:
    request = CODEC.parse((TRANSCRIPTS / "count.request.json").read_bytes())
    assert request.dialect is Dialect.COUNT_TOKENS
    assert (request.model, request.output_limit, request.stream) == ("claude-sonnet-5", 0, False)
    assert request.tools == ("get_weather",)
    assert len(request.messages) == 3


def test_the_same_is_governed_as_in_messages() -> None:
    body = {"model": "m", "messages": [], "mcp_servers": [{"url": "https://a.example"}]}
    request = CODEC.parse(json.dumps(body).encode())
    assert request.hosted_tools == (Feature("mcp_servers", "https://a.example"),)


def test_only_the_model_is_rewritten() -> None:
    raw = b'{"model":"a", "messages":[]}'
    request = CODEC.parse(raw)
    same = CODEC.rewrite(request, model="a", output_limit=5, inject_usage=True)
    other = CODEC.rewrite(request, model="b", output_limit=5, inject_usage=True)
    assert (same, other) == (raw, b'{"model":"b", "messages":[]}')


def test_a_count_costs_nothing() -> None:
    answer = CODEC.read((TRANSCRIPTS / "count.answer.json").read_bytes())
    assert answer == Answer(usage=Usage(input_tokens=0, output_tokens=0))


def test_an_error_is_one_of_messages() -> None:
    answer = CODEC.read(b'{"type":"error","error":{"type":"not_found_error"}}')
    assert answer == Answer(error="not_found_error")
    reason = Reason(code=Code.OUT_OF_SCOPE, message="No.")
    assert json.loads(CODEC.error_body(403, reason))["type"] == "error"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"input_tokens":"5"}'])
def test_what_is_no_count_is_malformed(body: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        CODEC.read(body)
    assert caught.value.code == "provider_malformed"
