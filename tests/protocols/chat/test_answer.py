from pathlib import Path

import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.usage import Usage
from ringfence.protocols.chat.answer import read_answer

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts/openai"


def test_an_answer_is_read() -> None:
    answer = read_answer((TRANSCRIPTS / "chat_answer.json").read_bytes())
    assert answer.usage == Usage(
        input_tokens=19,
        output_tokens=14,
        cache_read_tokens=8,
        cache_write_tokens=4,
        reasoning_tokens=8,
    )
    assert answer.finish == "tool_calls"
    assert answer.tool_calls == ("get_weather", "run_sql")
    assert (answer.provider_object, answer.response_model) == (
        "chatcmpl-Bx2",
        "gpt-5-mini-2025-08-07",
    )
    assert answer.error == ""


def test_an_error_is_read() -> None:
    assert read_answer(b'{"error":{"type":"server_error","code":null}}').error == "server_error"
    assert read_answer(b'{"error":{"type":null,"code":"x"}}').error == "x"
    assert read_answer(b'{"error":"broken"}').error == "error"
    assert read_answer(b'{"error":null}').error == ""


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"choices":null,"usage":[],"id":1}',
        b'{"choices":[1,{"message":[]},{"message":{"tool_calls":[{"function":null}]}}]}',
    ],
)
def test_unexpected_types_count_as_absent(body: bytes) -> None:
    answer = read_answer(body)
    assert answer.usage is None
    assert answer.tool_calls == ()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"a":', b'{"\xff":1}', b"[" * 100_000])
def test_what_is_not_an_object_is_malformed(body: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        read_answer(body)
    assert caught.value.code == "provider_malformed"
