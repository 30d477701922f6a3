"""Whole answers of Gemini: usage, finish, tool calls, errors."""

import json
from pathlib import Path

import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Answer
from ringfence.domain.usage import Usage
from ringfence.protocols.gemini import GeminiCodec

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts" / "gemini"
CODEC = GeminiCodec()


def usage(**counts: object) -> Usage | None:
    return CODEC.read(json.dumps({"usageMetadata": counts}).encode()).usage


def test_an_answer_is_read() -> None:
    assert CODEC.read((TRANSCRIPTS / "whole_hosted.answer.json").read_bytes()) == Answer(
        usage=Usage(input_tokens=40 + 12, output_tokens=17 + 21, reasoning_tokens=21),
        finish="STOP",
        response_model="gemini-3-flash",
        tool_calls=("get_weather",),
    )


def test_a_blocked_prompt_says_why() -> None:
    answer = CODEC.read((TRANSCRIPTS / "blocked.answer.json").read_bytes())
    assert answer.finish == "PROHIBITED_CONTENT"
    assert answer.usage == Usage(input_tokens=9, output_tokens=0)


def test_cached_tokens_are_part_of_the_input() -> None:
    counted = usage(promptTokenCount=40, candidatesTokenCount=2, cachedContentTokenCount=32)
    assert counted == Usage(input_tokens=40, output_tokens=2, cache_read_tokens=32)


def test_a_total_that_is_larger_than_its_parts_is_believed() -> None:
    counted = usage(promptTokenCount=40, candidatesTokenCount=2, totalTokenCount=50)
    assert counted == Usage(input_tokens=40, output_tokens=10)


def test_a_stated_zero_stays_zero_and_a_missing_prompt_is_an_estimate() -> None:
    assert usage(promptTokenCount=0, totalTokenCount=0) == Usage(input_tokens=0, output_tokens=0)
    assert usage(totalTokenCount=5) == Usage(input_tokens=0, output_tokens=5, estimated=True)
    assert usage() is None
    assert CODEC.read(b"{}").usage is None


def test_searches_are_uses_of_a_hosted_tool() -> None:
    candidate = {"groundingMetadata": {"webSearchQueries": ["a", "b"]}, "finishReason": "STOP"}
    body = {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1}}
    counted = CODEC.read(json.dumps(body).encode()).usage
    assert counted is not None
    assert counted.hosted_uses == {"googleSearch": 2}


def test_calls_of_all_candidates_are_named() -> None:
    call = {"content": {"parts": [{"functionCall": {"name": "f"}}, {"functionCall": {}}]}}
    body = {"candidates": [call, {}, call, {"content": {}}]}
    assert CODEC.read(json.dumps(body).encode()).tool_calls == ("f", "f")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}', "RESOURCE_EXHAUSTED"),
        (b'{"error":{}}', "error"),
    ],
)  # fmt: skip
def test_errors_keep_the_providers_word(body: bytes, error: str) -> None:
    assert CODEC.read(body) == Answer(error=error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"usageMetadata":5}', b"\xff"])
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        CODEC.read(body)
    assert caught.value.code == "provider_malformed"


def test_an_output_that_was_never_counted_is_an_estimate() -> None:
    untold = usage(promptTokenCount=5)
    told = usage(promptTokenCount=5, totalTokenCount=9)
    assert untold is not None
    assert told is not None
    assert (untold.estimated, told.estimated) == (True, False)
