"""Whole answers of Anthropic Messages: usage, finish, tool calls, errors."""

import json
from pathlib import Path

import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Answer
from ringfence.domain.usage import Usage
from ringfence.protocols.messages import MessagesCodec

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts" / "anthropic"
CODEC = MessagesCodec()


def usage(**counts: object) -> Usage | None:
    return CODEC.read(json.dumps({"type": "message", "usage": counts}).encode()).usage


def test_an_answer_is_read() -> None:
    answer = CODEC.read((TRANSCRIPTS / "whole_hosted.answer.json").read_bytes())
    assert answer == Answer(
        usage=Usage(
            input_tokens=12 + 300 + 2048,
            output_tokens=64,
            cache_read_tokens=2048,
            cache_write_tokens=300,
            cache_write_1h_tokens=100,
            hosted_uses={"web_search": 2},
        ),
        finish="tool_use",
        response_model="claude-sonnet-5-20260901",
        tool_calls=("get_weather",),
    )


def test_a_stated_zero_stays_zero_and_is_no_estimate() -> None:
    assert usage(input_tokens=0, output_tokens=0) == Usage(input_tokens=0, output_tokens=0)


def test_a_count_that_is_missing_makes_an_estimate() -> None:
    assert usage(input_tokens=5) == Usage(input_tokens=5, output_tokens=0, estimated=True)
    assert usage(output_tokens=None) is None
    assert CODEC.read(b"{}").usage is None


def test_passes_beside_the_call_are_added() -> None:
    apart = {
        "input_tokens": 100,
        "output_tokens": 10,
        "cache_read_input_tokens": 1,
        "cache_creation_input_tokens": 4,
        "cache_creation": {"ephemeral_1h_input_tokens": 3},
    }
    counted = usage(
        input_tokens=5,
        output_tokens=7,
        iterations=[
            {"type": "message", "input_tokens": 5, "output_tokens": 7},
            {"type": "compaction", **apart},
            {"type": "advisor_message", "input_tokens": 1000, "output_tokens": 100},
        ],
    )  # fmt: skip
    assert counted == Usage(
        input_tokens=5 + 100 + 1 + 4 + 1000,
        output_tokens=7 + 10 + 100,
        cache_read_tokens=1,
        cache_write_tokens=4,
        cache_write_1h_tokens=3,
    )


def test_thinking_is_part_of_the_output() -> None:
    counted = usage(input_tokens=1, output_tokens=9, output_tokens_details={"thinking_tokens": 4})
    assert counted == Usage(input_tokens=1, output_tokens=9, reasoning_tokens=4)


def test_a_container_is_an_object_of_the_provider() -> None:
    assert CODEC.read(b'{"container":{"id":"c_1"}}').provider_object == "c_1"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', "overloaded_error"),
        (b'{"type":"error","error":{}}', "error"),
    ],
)
def test_errors_keep_the_providers_word(body: bytes, error: str) -> None:
    assert CODEC.read(body) == Answer(error=error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"usage":5}', b"\xff", b"{" * 5000])
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        CODEC.read(body)
    assert caught.value.code == "provider_malformed"


def test_names_of_hosted_tools_are_bounded() -> None:
    stated = usage(input_tokens=1, output_tokens=1, server_tool_use={"x" * 10_000: 1, "a": 2})
    many = usage(output_tokens=1, server_tool_use={f"t{n}": 1 for n in range(10_000)})
    assert stated is not None
    assert many is not None
    assert stated.hosted_uses == {"a": 2}
    assert len(many.hosted_uses) <= 32
