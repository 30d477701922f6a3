from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.exchange import Message, Part
from ringfence.protocols import reading


def test_a_body_that_parsers_read_differently_comes_with_a_warning() -> None:
    body, warnings = reading.load(b'{"a":{"b":1,"b":2}}')
    assert body == {"a": {"b": 2}}
    assert [part.kind for part in warnings] == ["other"]
    assert "duplicate name `b`" in warnings[0].text
    assert reading.load(b'{"a":1}') == ({"a": 1}, ())
    assert reading.load(b"") == ({}, ())


@given(st.binary(max_size=60))
def test_any_body_and_any_stream_can_be_loaded(body: bytes) -> None:
    reading.load(body)
    list(reading.events(body))


def test_events_are_read_as_far_as_they_go() -> None:
    stream = b': note\n\ndata: {"a":1}\n\ndata: broken\n\ndata: [DONE]\n\ndata: {"b":2}'
    assert list(reading.events(stream)) == [{"a": 1}, {"b": 2}]


def test_an_image_in_the_body_is_shown_by_its_size() -> None:
    assert (
        reading.image("data:image/png;base64,AAAA").text == "data:image/png;base64 (4 characters)"
    )
    assert reading.image("https://x.example/a.png").text == "https://x.example/a.png"
    assert reading.image(None).text == ""


def test_values_are_shown_as_text_or_json() -> None:
    assert reading.plain("x") == "x"
    assert reading.plain({"a": 1}) == '{"a":1}'
    assert reading.plain(None) == ""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert reading.plain(deep) == "(nested too deeply to be shown)"


def test_an_error_is_shown_by_its_message() -> None:
    assert reading.failure({"message": "m", "type": "t"}).parts == [Part(kind="other", text="m")]
    assert reading.failure("m").parts == [Part(kind="other", text="m")]


def test_leading_instructions_are_told_from_the_conversation() -> None:
    def say(role: str) -> Message:
        return Message(role=role, parts=[Part(kind="text", text=role)])

    system, context = reading.split_system([say("system"), say("developer"), say("user")])
    assert [part.text for part in system] == ["system", "developer"]
    assert [message.role for message in context] == ["user"]
    later = [say("user"), say("system")]
    assert reading.split_system(later) == ([], later)
    assert reading.split_system([]) == ([], [])
