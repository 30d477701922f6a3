"""A stream passes unchanged in any split, and what it says of itself is learned on the way."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.exchange import Answer
from ringfence.domain.usage import Usage
from ringfence.protocols.gemini import GeminiCodec
from ringfence.protocols.gemini.stream import GeminiStream

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts" / "gemini"
WHOLE = (TRANSCRIPTS / "stream_tool.answer.sse").read_bytes()
LEARNED = Answer(
    usage=Usage(
        input_tokens=40, output_tokens=17 + 21, cache_read_tokens=32, reasoning_tokens=21
    ),
    finish="STOP",
    response_model="gemini-3-flash",
    tool_calls=("get_weather",),
)  # fmt: skip


def chunk(**fields: object) -> bytes:
    return f"data: {json.dumps(fields)}\n\n".encode()


def read(*pieces: bytes, answers: int = 1) -> GeminiStream:
    stream = GeminiStream(answers=answers)
    for piece in pieces:
        stream.feed(piece)
    return stream


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12).map(sorted))
def test_any_split_gives_the_same_bytes_and_the_same_answer(cuts: list[int]) -> None:
    stream = GeminiStream()
    pieces = [WHOLE[a:b] for a, b in zip([0, *cuts], [*cuts, len(WHOLE)], strict=True)]
    passed = b"".join(stream.feed(piece) for piece in pieces) + stream.flush()
    assert passed == WHOLE
    assert stream.answer() == LEARNED
    assert stream.is_complete


def test_a_cut_stream_gives_an_estimate() -> None:
    first = WHOLE.index(b"\r\n\r\n") + 4
    stream = read(WHOLE[:first])
    assert not stream.is_complete
    assert stream.answer().usage == Usage(
        input_tokens=40, output_tokens=21, reasoning_tokens=21, estimated=True
    )


def test_a_stream_that_never_began_says_nothing() -> None:
    assert GeminiStream().answer() == Answer()


def test_the_floor_grows_with_each_part_that_is_not_empty() -> None:
    parts = [{"text": ""}, {"text": "a"}, {"functionCall": {"name": "f"}}, {"inlineData": {}}]
    stream = read(chunk(candidates=[{"content": {"parts": parts}}]))
    assert stream.output_floor_tokens == 2
    stream.feed(chunk(candidates=[{"content": {"parts": [{"text": "x" * 1280}]}}]))
    assert stream.output_floor_tokens == 10


def test_a_stream_is_complete_when_all_candidates_have_ended() -> None:
    first = chunk(candidates=[{"finishReason": "STOP"}])
    second = chunk(candidates=[{"finishReason": "MAX_TOKENS", "index": 1}])
    assert not read(first, answers=2).is_complete
    assert read(first, second, answers=2).is_complete
    assert read(first, second, answers=2).answer().finish == "MAX_TOKENS"


def test_what_follows_the_end_of_the_last_candidate_still_counts_and_passes() -> None:
    stream = read(chunk(candidates=[{"finishReason": "STOP"}]))
    late = chunk(usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 4})
    assert stream.feed(late) == late
    assert stream.answer().usage == Usage(input_tokens=3, output_tokens=4)


def test_a_blocked_prompt_ends_the_stream() -> None:
    stream = read(chunk(promptFeedback={"blockReason": "SAFETY"}), answers=3)
    assert stream.is_complete
    assert stream.answer().finish == "SAFETY"


def test_an_error_in_the_stream_is_learned() -> None:
    stream = read(chunk(error={"code": 503, "message": "x", "status": "UNAVAILABLE"}))
    assert stream.answer().error == "UNAVAILABLE"
    assert not stream.is_complete


def test_searches_are_counted_once() -> None:
    grounded = {"groundingMetadata": {"webSearchQueries": ["a", "b"]}}
    usage = {"promptTokenCount": 1}
    piece = chunk(candidates=[grounded], usageMetadata=usage)
    counted = read(piece, piece).answer().usage
    assert counted is not None
    assert counted.hosted_uses == {"googleSearch": 2}


@pytest.mark.parametrize("broken", [b"data: {\n\n", b"data: []\n\n", b'data: {"candidates":7}\n\n'])
def test_a_broken_event_passes_and_is_noted(broken: bytes) -> None:
    stream = GeminiStream()
    assert stream.feed(broken + WHOLE) == broken + WHOLE
    assert stream.answer().error == "provider_malformed"
    assert stream.answer().usage == LEARNED.usage


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_nothing_that_a_provider_sends_raises(pieces: list[bytes]) -> None:
    stream = GeminiStream()
    passed = b"".join(stream.feed(piece) for piece in pieces) + stream.flush()
    assert passed == b"".join(pieces)


def test_usage_that_output_has_followed_is_an_estimate() -> None:
    stream = GeminiCodec().stream(GeminiCodec().parse(b'{"contents":[]}', path_model="g"))
    counts = b'"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":1}'
    stream.feed(b"data: {" + counts + b"}\n\n")
    part = b'{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}'
    stream.feed(b"data: " + part + b"\n\n")
    usage = stream.answer().usage
    assert usage is not None
    assert usage.estimated
