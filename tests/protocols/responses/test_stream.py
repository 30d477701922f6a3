import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.usage import Usage
from ringfence.protocols.responses.stream import ResponsesStream

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts/openai"
SAMPLES = {path.name: path.read_bytes() for path in sorted(TRANSCRIPTS.glob("responses_*.sse"))}
USAGE = Usage(
    input_tokens=36,
    output_tokens=87,
    cache_read_tokens=12,
    cache_write_tokens=9,
    cache_write_1h_tokens=3,
    reasoning_tokens=64,
)


def _run(pieces: list[bytes]) -> tuple[bytes, ResponsesStream]:
    stream = ResponsesStream(keeps=True)
    out = b"".join([stream.feed(piece) for piece in pieces])
    return out + stream.flush(), stream


def _event(kind: str, **fields: object) -> bytes:
    data = json.dumps({"type": kind, **fields}).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


@given(st.sampled_from(sorted(SAMPLES)), st.lists(st.integers(0, 6000), max_size=12))
def test_any_split_gives_the_same_bytes_and_the_same_answer(name: str, cuts: list[int]) -> None:
    whole = SAMPLES[name]
    places = sorted({min(cut, len(whole)) for cut in cuts})
    pieces = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    out, stream = _run(pieces)
    _, reference = _run([whole])
    assert out == whole
    assert stream.answer() == reference.answer()
    assert stream.output_floor_tokens == reference.output_floor_tokens
    assert stream.is_complete


def test_a_text_is_read() -> None:
    _, stream = _run([SAMPLES["responses_text.sse"]])
    answer = stream.answer()
    assert answer.usage == USAGE
    assert (answer.finish, answer.provider_object) == ("completed", "resp_0a1")
    assert answer.provider_items == ("rs_0a2", "msg_0a3")
    assert stream.output_floor_tokens == 8


def test_tool_calls_and_hosted_uses_are_read() -> None:
    answer = _run([SAMPLES["responses_tools.sse"]])[1].answer()
    assert answer.tool_calls == ("get_weather",)
    assert answer.usage is not None
    assert answer.usage.hosted_uses == {"web_search": 2}
    assert answer.finish == "max_output_tokens"
    assert (answer.provider_object, answer.provider_items) == ("", ())


@pytest.mark.parametrize(
    ("name", "error"),
    [("responses_failed.sse", "server_error"), ("responses_error.sse", "rate_limit_exceeded")],
)
def test_errors_are_read_and_end_the_stream(name: str, error: str) -> None:
    _, stream = _run([SAMPLES[name]])
    assert stream.answer().error == error
    assert stream.is_complete


def test_a_cut_leaves_what_was_learned() -> None:
    whole = SAMPLES["responses_tools.sse"]
    _, stream = _run([whole[: whole.index(b"event: response.incomplete")]])
    answer = stream.answer()
    assert answer.tool_calls == ("get_weather",)
    assert answer.response_model == "gpt-5-mini-2025-08-07"
    assert answer.usage is None
    assert not stream.is_complete


def test_nothing_passes_after_the_end() -> None:
    stream = ResponsesStream(keeps=True)
    end = _event("response.completed", response={})
    assert stream.feed(end + b"data: [DONE]\n\n") == end
    assert stream.feed(_event("x")) == b""


def test_events_need_no_name_line() -> None:
    data = json.dumps({"type": "response.output_text.delta", "delta": "x"}).encode()
    _, stream = _run([b"data: " + data + b"\n\n"])
    assert stream.output_floor_tokens == 1


@pytest.mark.parametrize(
    ("kind", "delta", "floor"),
    [
        ("response.output_text.delta", "x", 1),
        ("response.output_text.delta", "", 0),
        ("response.refusal.delta", "x", 1),
        ("response.reasoning_text.delta", "x", 1),
        ("response.function_call_arguments.delta", "{", 1),
        ("response.custom_tool_call_input.delta", "x" * 1280, 10),
        ("response.audio.delta", "AAAA" * 1000, 0),
        ("response.shell_call_output_content.delta", {"stdout": "x"}, 0),
        ("response.output_text.done", "x", 0),
    ],
)
def test_what_certainly_passed_is_counted(kind: str, delta: object, floor: int) -> None:
    assert _run([_event(kind, delta=delta)])[1].output_floor_tokens == floor


@pytest.mark.parametrize(
    "data",
    [b"{broken", b"[1]", b'{"type":1}', b"\xff"],
)
def test_a_malformed_event_passes_and_is_noted(data: bytes) -> None:
    event = b"data: " + data + b"\n\n"
    out, stream = _run([event])
    assert out == event
    assert stream.answer().error == "provider_malformed"


def test_unexpected_types_count_as_absent() -> None:
    events = [
        _event("response.output_item.done", item=[1]),
        _event("response.created", response="x"),
        _event("response.completed"),
        _event("response.completed", response={"output": 5, "usage": "x"}),
    ]
    for event in events:
        out, stream = _run([event])
        assert out == event
        assert stream.answer().usage is None
