import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.exchange import Answer
from ringfence.domain.usage import Usage
from ringfence.protocols.chat.stream import ChatStream

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts/openai"
SAMPLES = {path.name: path.read_bytes() for path in sorted(TRANSCRIPTS.glob("chat_*.sse"))}
USAGE = Usage(
    input_tokens=19, output_tokens=14, cache_read_tokens=8, cache_write_tokens=4, reasoning_tokens=8
)
STATED = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def _run(pieces: list[bytes], *, strips: bool = True) -> tuple[bytes, ChatStream]:
    stream = ChatStream(strips_usage=strips)
    out = b"".join([stream.feed(piece) for piece in pieces])
    return out + stream.flush(), stream


def _chunk(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def _delta(**delta: object) -> bytes:
    return _chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}])


@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(st.integers(0, 2500), max_size=12),
    st.booleans(),
)
def test_any_split_gives_the_same_bytes_and_the_same_answer(
    name: str,
    cuts: list[int],
    strips: bool,  # noqa: FBT001 (drawn by name)
) -> None:
    whole = SAMPLES[name]
    places = sorted({min(cut, len(whole)) for cut in cuts})
    pieces = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    out, stream = _run(pieces, strips=strips)
    expected, reference = _run([whole], strips=strips)
    assert out == expected
    assert stream.answer() == reference.answer()
    assert stream.output_floor_tokens == reference.output_floor_tokens
    assert stream.is_complete == reference.is_complete


def test_the_usage_chunk_is_taken_out_if_the_client_did_not_ask() -> None:
    whole = SAMPLES["chat_text.sse"]
    out, stream = _run([whole])
    usage_chunk = next(event for event in whole.split(b"\n\n") if b'"choices":[]' in event)
    assert out == whole.replace(usage_chunk + b"\n\n", b"")
    assert stream.answer().usage == USAGE
    assert stream.answer().finish == "stop"
    assert stream.is_complete


def test_the_usage_chunk_passes_if_the_client_asked() -> None:
    out, stream = _run([SAMPLES["chat_text.sse"]], strips=False)
    assert out == SAMPLES["chat_text.sse"]
    assert stream.answer().usage == USAGE


def test_usage_on_a_chunk_of_content_is_read_and_passes() -> None:
    out, stream = _run([SAMPLES["chat_compatible.sse"]])
    assert out == SAMPLES["chat_compatible.sse"]
    assert stream.answer().usage == Usage(input_tokens=5, output_tokens=11)


def test_tool_calls_are_named_once() -> None:
    out, stream = _run([SAMPLES["chat_tools.sse"]])
    assert out == SAMPLES["chat_tools.sse"]
    assert stream.answer() == Answer(
        finish="tool_calls",
        response_model="gpt-5-mini-2025-08-07",
        provider_object="chatcmpl-Bx1",
        tool_calls=("get_weather", "get_time"),
    )
    assert stream.output_floor_tokens == 4


def test_an_error_in_the_stream_passes_and_is_noted() -> None:
    out, stream = _run([SAMPLES["chat_error.sse"]])
    assert out == SAMPLES["chat_error.sse"]
    assert stream.answer().error == "server_error"
    assert not stream.is_complete


def test_nothing_passes_after_the_end() -> None:
    stream = ChatStream(strips_usage=True)
    assert stream.feed(b"data: [DONE]\n\n" + _delta(content="more")) == b"data: [DONE]\n\n"
    assert stream.feed(_delta(content="more")) == b""
    assert stream.flush() == b""
    assert stream.output_floor_tokens == 0


@pytest.mark.parametrize("data", [b"{broken", b"[1]", b"\xff", b'"text"'])
def test_a_malformed_chunk_passes_and_is_noted(data: bytes) -> None:
    event = b"data: " + data + b"\n\n"
    out, stream = _run([event, _delta(content="x")])
    assert out == event + _delta(content="x")
    assert stream.answer().error == "provider_malformed"
    assert stream.output_floor_tokens == 1


@pytest.mark.parametrize(
    "chunk",
    [
        _chunk(choices=None, usage=[1]),
        _chunk(choices=[1, {"delta": []}, {"delta": {"tool_calls": [None, {"function": 1}]}}]),
        _chunk(choices=[{"delta": {"content": 5}, "finish_reason": 7}], id=1, model=2),
    ],
)
def test_unexpected_types_pass_and_count_as_absent(chunk: bytes) -> None:
    out, stream = _run([chunk])
    assert out == chunk
    assert stream.answer() == Answer()
    assert stream.output_floor_tokens == 0


def test_explicit_zeros_are_kept() -> None:
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    _, stream = _run([_chunk(choices=[], usage=zero)])
    assert stream.answer().usage == Usage(input_tokens=0, output_tokens=0)


def test_the_last_usage_holds() -> None:
    first = {"prompt_tokens": 1, "completion_tokens": 1}
    _, stream = _run([_chunk(choices=[], usage=first), _chunk(choices=[], usage=STATED)])
    assert stream.answer().usage == Usage(input_tokens=1, output_tokens=2)


def test_only_a_chunk_that_holds_nothing_else_is_taken_out() -> None:
    for chunk in (
        _chunk(choices=[], usage=None, prompt_filter_results=[1]),
        _chunk(choices=[], usage=STATED, moderation={"input": {}}),
        _chunk(choices=[], usage=STATED, error={"type": "x"}),
    ):
        assert _run([chunk])[0] == chunk


@pytest.mark.parametrize(
    ("delta", "floor"),
    [
        ({"content": "a"}, 1),
        ({"content": ""}, 0),
        ({"role": "assistant"}, 0),
        ({"reasoning_content": "a"}, 1),
        ({"reasoning": "a"}, 1),
        ({"refusal": "a"}, 1),
        ({"tool_calls": [{"function": {"name": "f", "arguments": ""}}]}, 0),
        ({"tool_calls": [{"function": {"arguments": "{"}}]}, 1),
        ({"function_call": {"arguments": "{"}}, 1),
        ({"content": "a" * 1280}, 10),
    ],
)
def test_what_certainly_passed_is_counted(delta: dict[str, object], floor: int) -> None:
    assert _run([_delta(**delta)])[1].output_floor_tokens == floor


def test_a_last_event_without_its_blank_line_is_read() -> None:
    out, stream = _run([_delta(content="a"), b"data: [DONE]\n"])
    assert out == _delta(content="a") + b"data: [DONE]\n"
    assert stream.is_complete


def test_a_cut_leaves_what_was_learned() -> None:
    whole = SAMPLES["chat_text.sse"]
    for place in range(0, len(whole), 97):
        stream = ChatStream(strips_usage=True)
        out = stream.feed(whole[:place])
        assert whole.startswith(out)
        assert out.endswith(b"\n\n") or not out
        assert stream.answer().usage is None or b'"choices":[]' in whole[:place]
