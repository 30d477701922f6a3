"""A stream passes unchanged in any split, and what it says of itself is learned on the way."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.exchange import Answer
from ringfence.domain.usage import Usage
from ringfence.protocols.messages.stream import MessagesStream

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts" / "anthropic"
WHOLE = (TRANSCRIPTS / "stream_tool.answer.sse").read_bytes()
FAILED = (TRANSCRIPTS / "stream_error.answer.sse").read_bytes()
LEARNED = Answer(
    usage=Usage(
        input_tokens=12 + 300 + 2048,
        output_tokens=89,
        cache_read_tokens=2048,
        cache_write_tokens=300,
        cache_write_1h_tokens=100,
        reasoning_tokens=21,
    ),
    finish="tool_use",
    response_model="claude-sonnet-5-20260901",
    tool_calls=("get_weather",),
)


def events(raw: bytes = WHOLE) -> list[bytes]:
    return [event + b"\n\n" for event in raw.split(b"\n\n")[:-1]]


def event(kind: str, **fields: object) -> bytes:
    data = json.dumps({"type": kind, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode()


def read(*pieces: bytes) -> MessagesStream:
    stream = MessagesStream()
    for piece in pieces:
        stream.feed(piece)
    return stream


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12).map(sorted))
def test_any_split_gives_the_same_bytes_and_the_same_answer(cuts: list[int]) -> None:
    stream = MessagesStream()
    pieces = [WHOLE[a:b] for a, b in zip([0, *cuts], [*cuts, len(WHOLE)], strict=True)]
    passed = b"".join(stream.feed(piece) for piece in pieces) + stream.flush()
    assert passed == WHOLE
    assert stream.answer() == LEARNED
    assert stream.is_complete


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_other_line_ends_are_read_alike(end: bytes) -> None:
    stream = MessagesStream()
    raw = WHOLE.replace(b"\n", end)
    assert stream.feed(raw) + stream.flush() == raw
    assert stream.answer() == LEARNED


def test_only_whole_events_are_given_on() -> None:
    stream = MessagesStream()
    assert stream.feed(WHOLE[:-1]) == WHOLE[: WHOLE.rindex(b"event: message_stop")]
    assert not stream.is_complete
    assert stream.feed(WHOLE[-1:]) == event("message_stop").replace(b'": "', b'":"')


def test_the_floor_grows_with_each_piece_of_output_and_never_passes_the_count() -> None:
    stream = MessagesStream()
    floors = [stream.feed(each) and stream.output_floor_tokens for each in events()]
    assert floors == sorted(floors)
    assert floors[-1] == 89
    before_the_count = floors[-3]
    assert before_the_count == 6  # two thoughts, two texts, two pieces of arguments; none empty


def test_a_long_piece_is_more_than_one_token() -> None:
    delta = {"type": "text_delta", "text": "x" * 1280}
    assert read(event("content_block_delta", delta=delta)).output_floor_tokens == 10


@pytest.mark.parametrize("delta", [{"text": ""}, {"signature": "abc"}, {"citation": {}}, {}])
def test_what_is_no_output_does_not_raise_the_floor(delta: dict[str, object]) -> None:
    assert read(event("content_block_delta", delta=delta)).output_floor_tokens == 0


@pytest.mark.parametrize("count", range(1, len(events()) - 2))
def test_a_cut_stream_gives_an_estimate(count: int) -> None:
    stream = read(*events()[:count])
    usage = stream.answer().usage
    assert usage is not None
    assert usage.estimated
    assert usage.input_tokens == 2360
    assert usage.output_tokens == max(3, stream.output_floor_tokens)
    assert not stream.is_complete


def test_a_stream_that_never_began_says_nothing() -> None:
    assert MessagesStream().answer() == Answer()


def test_an_error_in_the_stream_is_learned() -> None:
    stream = read(FAILED)
    assert stream.answer().error == "overloaded_error"
    assert not stream.is_complete


def test_later_counts_replace_earlier_ones_and_absent_ones_do_not() -> None:
    first = {"usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}}
    last = {"input_tokens": None, "cache_read_input_tokens": 0, "output_tokens": 0}
    stream = read(
        event("message_start", message=first), event("message_delta", delta={}, usage=last)
    )
    assert stream.answer().usage == Usage(input_tokens=10, output_tokens=0)


def test_hosted_uses_and_containers_are_learned_at_the_end() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "server_tool_use": {"web_search_requests": 3}}
    delta = {"stop_reason": "end_turn", "container": {"id": "c_1", "expires_at": "x"}}
    answer = read(event("message_delta", delta=delta, usage=usage)).answer()
    assert answer.usage == Usage(input_tokens=1, output_tokens=2, hosted_uses={"web_search": 3})
    assert (answer.finish, answer.provider_object) == ("end_turn", "c_1")


@pytest.mark.parametrize("broken", [b"data: {\n\n", b"data: []\n\n", b'data: {"delta":7}\n\n'])
def test_a_broken_event_passes_and_is_noted(broken: bytes) -> None:
    stream = MessagesStream()
    assert stream.feed(broken + WHOLE) == broken + WHOLE
    assert stream.answer().error == "provider_malformed"
    assert stream.answer().usage == LEARNED.usage


def test_events_without_data_pass() -> None:
    stream = MessagesStream()
    raw = b": comment\n\nevent: ping\n\n"
    assert stream.feed(raw) == raw
    assert stream.answer() == Answer()


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_nothing_that_a_provider_sends_raises(pieces: list[bytes]) -> None:
    stream = MessagesStream()
    passed = b"".join(stream.feed(piece) for piece in pieces) + stream.flush()
    assert passed == b"".join(pieces)
