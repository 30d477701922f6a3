"""Stored Anthropic exchanges are made readable, whatever state they are in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.exchange import Message, Part, Reading
from ringfence.domain.verdict import Code, Reason
from ringfence.protocols.messages import MessagesCodec, MessagesReader

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts" / "anthropic"
READER = MessagesReader()


def stored(name: str) -> bytes:
    return (TRANSCRIPTS / name).read_bytes()


def test_a_stream_is_put_together() -> None:
    reading = READER.read_exchange(
        stored("stream_tool.request.json"), stored("stream_tool.answer.sse"), streamed=True
    )
    called = Part(kind="tool_call", name="get_weather", id="toolu_01", text='{"city": "Zürich"}')
    assert reading.answer == Message(
        role="assistant",
        parts=[
            Part(kind="reasoning", text="The user wants the weather."),
            Part(kind="text", text="Grüße! Let me look."),
            called,
        ],
    )
    assert reading.finish == "tool_use"
    assert reading.tools == ["get_weather"]
    assert reading.system == [Part(kind="text", text="You are a weather agent.")]


def test_the_context_shows_calls_and_their_results() -> None:
    reading = READER.read_exchange(stored("stream_tool.request.json"), b"", streamed=True)
    roles = [message.role for message in reading.context]
    kinds = [part.kind for message in reading.context for part in message.parts]
    assert roles == ["user", "assistant", "user"]
    assert kinds == ["text", "text", "tool_call", "tool_result", "text"]
    assert reading.context[2].parts[0] == Part(kind="tool_result", id="toolu_00", text="14 °C")
    assert reading.answer is None


def test_a_whole_answer_and_pictures_are_read() -> None:
    reading = READER.read_exchange(
        stored("whole_hosted.request.json"), stored("whole_hosted.answer.json"), streamed=False
    )
    assert reading.context[0].parts == [
        Part(kind="image", text="image/png"),
        Part(kind="media", text="https://example.com/a.pdf"),
        Part(kind="text", text="What is this?"),
    ]
    assert reading.tools == ["get_weather", "web_search"]
    assert reading.answer is not None
    assert [part.name for part in reading.answer.parts] == ["", "web_search", "get_weather"]


@pytest.mark.parametrize("cut", [b"", b"event: content_block_delta\ndata: {"])
def test_a_stream_that_we_stopped_shows_what_came_and_why_it_ended(cut: bytes) -> None:
    stop = MessagesCodec().stream_stop(Reason(code=Code.BUDGET_EXHAUSTED, message="Spent."))
    whole = stored("stream_tool.answer.sse")
    begun = whole[: whole.index(b"event: content_block_stop")]
    reading = READER.read_exchange(b"{}", begun + stop + cut, streamed=True)
    assert reading.answer is not None
    assert [part.text for part in reading.answer.parts] == [
        "The user wants the weather.",
        "billing_error: Spent.",
    ]


def test_a_result_that_is_more_than_text_is_shown_whole() -> None:
    request = b"""{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t",
        "content":[{"type":"tool_reference","tool_name":"x"}]},{"type":"novelty"}]}]}"""
    parts = READER.read_exchange(request, b"{}", streamed=False).context[0].parts
    assert parts[0].text == '[{"type":"tool_reference","tool_name":"x"}]'
    assert parts[1] == Part(kind="other", text="novelty")


@given(st.binary(max_size=100), st.binary(max_size=100), st.booleans())
def test_nothing_that_was_stored_raises(request: bytes, response: bytes, streamed: bool) -> None:  # noqa: FBT001 (drawn)
    assert isinstance(READER.read_exchange(request, response, streamed=streamed), Reading)
