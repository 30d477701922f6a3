"""Stored Gemini exchanges are made readable, whatever state they are in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.exchange import Message, Part, Reading
from ringfence.domain.verdict import Code, Reason
from ringfence.protocols.gemini import GeminiCodec, GeminiReader

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts" / "gemini"
READER = GeminiReader()


def stored(name: str) -> bytes:
    return (TRANSCRIPTS / name).read_bytes()


def test_a_stream_is_put_together() -> None:
    reading = READER.read_exchange(
        stored("stream_tool.request.json"), stored("stream_tool.answer.sse"), streamed=True
    )
    assert reading.answer == Message(
        role="model",
        parts=[
            Part(kind="reasoning", text="**Looking**"),
            Part(kind="text", text="Grüße! "),
            Part(kind="tool_call", name="get_weather", text='{"city":"Zürich"}'),
        ],
    )
    assert reading.finish == "STOP"
    assert reading.tools == ["get_weather"]
    assert reading.system == [Part(kind="text", text="You are a weather agent.")]
    assert [part.kind for message in reading.context for part in message.parts] == [
        "text",
        "tool_call",
        "tool_result",
    ]


def test_texts_that_came_in_pieces_become_one() -> None:
    chunk = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n\n'
    reading = READER.read_exchange(b"{}", chunk * 3, streamed=True)
    assert reading.answer == Message(role="model", parts=[Part(kind="text", text="aaa")])


def test_a_whole_answer_and_pictures_are_read() -> None:
    reading = READER.read_exchange(
        stored("whole_hosted.request.json"), stored("whole_hosted.answer.json"), streamed=False
    )
    uri = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    assert reading.context[0].parts == [
        Part(kind="image", text="image/png"),
        Part(kind="media", text=uri),
        Part(kind="text", text="What is this?"),
    ]
    assert reading.tools == ["googleSearch"]
    assert reading.answer is not None
    assert [part.kind for part in reading.answer.parts] == ["text", "tool_call"]


def test_a_blocked_prompt_shows_why() -> None:
    reading = READER.read_exchange(b"{}", stored("blocked.answer.json"), streamed=False)
    assert reading.answer is None
    assert reading.finish == "PROHIBITED_CONTENT"


@pytest.mark.parametrize("cut", [b"", b"data: {"])
def test_a_stream_that_we_stopped_shows_what_came_and_why_it_ended(cut: bytes) -> None:
    stop = GeminiCodec().stream_stop(Reason(code=Code.BUDGET_EXHAUSTED, message="Spent."))
    whole = stored("stream_tool.answer.sse")
    begun = whole[: whole.index(b"\r\n\r\n") + 4]
    reading = READER.read_exchange(b"{}", begun + stop + cut, streamed=True)
    assert reading.answer is not None
    assert [part.text for part in reading.answer.parts] == [
        "**Looking**",
        "FAILED_PRECONDITION: Spent.",
    ]


def test_a_part_that_is_new_is_named() -> None:
    request = b'{"contents":[{"parts":[{"hologram":{}},{}]}]}'
    context = READER.read_exchange(request, b"{}", streamed=False).context
    assert context[0].parts == [Part(kind="other", text="hologram"), Part(kind="other")]


@given(st.binary(max_size=100), st.binary(max_size=100), st.booleans())
def test_nothing_that_was_stored_raises(request: bytes, response: bytes, streamed: bool) -> None:  # noqa: FBT001 (drawn)
    assert isinstance(READER.read_exchange(request, response, streamed=streamed), Reading)
