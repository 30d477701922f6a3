import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.exchange import Message, Part, Reading
from ringfence.protocols.chat import ChatReader

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts/openai"
REQUEST = (TRANSCRIPTS / "chat_request.json").read_bytes()


def _read(request: bytes = REQUEST, response: bytes = b"", *, streamed: bool = False) -> Reading:
    return ChatReader().read_exchange(request, response, streamed=streamed)


def _stream(name: str) -> Reading:
    return _read(response=(TRANSCRIPTS / name).read_bytes(), streamed=True)


def test_a_request_is_made_readable() -> None:
    reading = _read()
    assert reading.system == [Part(kind="text", text="You answer briefly.")]
    assert reading.tools == ["look", "run_sql"]
    assert reading.context == [
        Message(
            role="user",
            parts=[
                Part(kind="text", text="What is on this picture?"),
                Part(kind="image", text="data:image/png;base64 (12 characters)"),
            ],
        ),
        Message(
            role="assistant",
            parts=[Part(kind="tool_call", name="look", id="call_a", text='{"x":1}')],
        ),
        Message(
            role="tool",
            parts=[Part(kind="tool_result", name="look", id="call_a", text="a cat")],
        ),
        Message(role="user", parts=[Part(kind="text", text="And now?")]),
    ]
    assert reading.answer is None


def test_an_answer_is_made_readable() -> None:
    reading = _read(response=(TRANSCRIPTS / "chat_answer.json").read_bytes())
    assert reading.finish == "tool_calls"
    assert reading.answer == Message(
        role="assistant",
        parts=[
            Part(kind="text", text="Let me look."),
            Part(kind="tool_call", name="get_weather", id="call_a", text='{"city":"Paris"}'),
            Part(kind="tool_call", name="run_sql", id="call_b", text="select 1"),
        ],
    )


def test_a_stream_is_put_together() -> None:
    reading = _stream("chat_text.sse")
    assert reading.answer == Message(
        role="assistant", parts=[Part(kind="text", text="Grüße from the model.")]
    )
    assert reading.finish == "stop"


def test_tool_calls_of_a_stream_are_put_together() -> None:
    reading = _stream("chat_tools.sse")
    assert reading.answer is not None
    assert list(reading.answer.parts) == [
        Part(kind="tool_call", name="get_weather", id="call_a", text='{"city":"Paris"}'),
        Part(kind="tool_call", name="get_time", id="call_b", text="{}"),
    ]


def test_reasoning_of_a_stream_is_shown() -> None:
    reading = _stream("chat_compatible.sse")
    assert reading.answer is not None
    assert list(reading.answer.parts) == [
        Part(kind="reasoning", text="Let me think"),
        Part(kind="text", text="42"),
    ]


def test_an_error_in_a_stream_is_shown_after_what_came_before() -> None:
    reading = _stream("chat_error.sse")
    assert reading.answer is not None
    assert [part.kind for part in reading.answer.parts] == ["text", "other"]
    assert "server had an error" in reading.answer.parts[1].text
    assert reading.finish == "error"


def test_an_error_document_is_shown_even_for_a_stream() -> None:
    for streamed in (False, True):
        reading = _read(response=b'{"error":{"message":"no"}}', streamed=streamed)
        assert reading.answer == Message(role="error", parts=[Part(kind="other", text="no")])


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        (
            {"role": "assistant", "reasoning_content": "r", "content": "c", "refusal": "n"},
            [
                Part(kind="reasoning", text="r"),
                Part(kind="text", text="c"),
                Part(kind="text", text="n"),
            ],
        ),
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            [Part(kind="tool_call", name="f", text="{}")],
        ),
        (
            {"role": "tool", "name": "f", "content": [{"type": "text", "text": "x"}]},
            [Part(kind="tool_result", name="f", text="x")],
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf"}}, "x"]},
            [Part(kind="media", text="a.pdf"), Part(kind="text", text="x")],
        ),
        (
            {"role": "user", "content": [{"type": "input_audio"}, {"type": "new"}]},
            [Part(kind="media", text="input_audio"), Part(kind="other", text="new")],
        ),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}]},
            [Part(kind="reasoning", text="t")],
        ),
    ],
)
def test_messages_are_made_readable(message: dict[str, object], parts: list[Part]) -> None:
    reading = _read(json.dumps({"messages": [message]}).encode())
    assert list(reading.context[0].parts) == parts


def test_a_request_read_differently_elsewhere_says_so() -> None:
    reading = _read(b'{"messages":[{"role":"user","content":"a","content":"b"}]}')
    assert "duplicate name `content`" in reading.system[0].text


@given(st.integers(0, 2500))
def test_what_was_cut_off_is_still_readable(place: int) -> None:
    whole = (TRANSCRIPTS / "chat_text.sse").read_bytes()
    answer = _read(REQUEST[:place], whole[:place], streamed=True).answer
    said = "".join([part.text for part in answer.parts]) if answer is not None else ""
    assert "Grüße from the model.".startswith(said)
    _read(REQUEST[:place], (TRANSCRIPTS / "chat_answer.json").read_bytes()[:place])


_NAMES = st.sampled_from(
    [
        "messages",
        "role",
        "content",
        "type",
        "tool_calls",
        "choices",
        "delta",
        "function",
        "tools",
        "message",
        "image_url",
        "error",
        "index",
    ]
)


@given(
    st.recursive(
        st.none() | st.text("ab", max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
        max_leaves=12,
    )
)
def test_nothing_stops_a_reader(value: object) -> None:
    body = json.dumps(value).encode()
    for streamed in (False, True):
        _read(body, b"data: " + body + b"\n\n" if streamed else body, streamed=streamed)
