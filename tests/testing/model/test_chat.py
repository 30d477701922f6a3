import json
from typing import Any

from ringfence.domain.model import Dialect
from ringfence.domain.usage import Usage
from ringfence.testing.model import chat
from ringfence.testing.model.emission import Call, Emission, split
from ringfence.testing.model.question import Conversation, Question

USED = Usage(
    input_tokens=100,
    output_tokens=9,
    cache_read_tokens=10,
    cache_write_tokens=20,
    cache_write_1h_tokens=5,
    reasoning_tokens=2,
)
CALL = Call(id="00000100", name="w", arguments='{"city": "Rome"}')
FULL = Emission(
    number=1,
    model="m",
    reasoning=split("I think."),
    text=split("Hello you."),
    tool_calls=(CALL,),
    finish="tool_calls",
    usage=USED,
    answers=2,
)


def streamed(emission: Emission, *, wants_usage: bool = False) -> list[dict[str, Any]]:
    question = Question(
        dialect=Dialect.CHAT,
        model="m",
        conversation=Conversation(),
        wants_usage=wants_usage,
    )
    events = list(chat.events(emission, question))
    assert events.pop() == b"data: [DONE]\n\n"
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def test_a_document_holds_all_of_an_answer_as_often_as_asked() -> None:
    document = chat.whole(FULL)
    assert document["id"] == "chatcmpl-scripted-000001"
    assert [choice["index"] for choice in document["choices"]] == [0, 1]
    assert document["choices"][1]["finish_reason"] == "tool_calls"
    assert document["choices"][1]["message"] == {
        "role": "assistant",
        "content": "Hello you.",
        "reasoning_content": "I think.",
        "tool_calls": [
            {
                "id": "call_00000100",
                "type": "function",
                "function": {"name": "w", "arguments": '{"city": "Rome"}'},
            }
        ],
    }


def test_usage_includes_what_was_cached_in_the_prompt() -> None:
    assert chat.whole(FULL)["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 9,
        "total_tokens": 109,
        "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def test_a_stream_carries_the_same_as_the_document() -> None:
    deltas = [
        chunk["choices"][0]["delta"]
        for chunk in streamed(FULL)
        if chunk["choices"][0]["index"] == 1
    ]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Hello you."
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "I think."
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert (calls[0]["id"], calls[0]["function"]["name"]) == ("call_00000100", "w")
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city": "Rome"}'


def test_a_stream_gives_its_usage_only_if_asked() -> None:
    assert all("usage" not in chunk for chunk in streamed(FULL))
    *others, last = streamed(FULL, wants_usage=True)
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 9)
    assert {chunk["usage"] for chunk in others} == {None}


def test_an_answer_without_usage_says_nothing_of_it() -> None:
    silent = Emission(number=1, model="m", text=split("a"))
    assert "usage" not in chat.whole(silent)
    assert all(not chunk.get("usage") for chunk in streamed(silent, wants_usage=True))


def test_the_finish_has_openais_words() -> None:
    def finish(emission: Emission) -> tuple[str, str]:
        last = streamed(emission)[-1]["choices"][0]["finish_reason"]
        return chat.whole(emission)["choices"][0]["finish_reason"], last

    assert finish(Emission(number=1, model="m")) == ("stop", "stop")
    assert finish(Emission(number=1, model="m", finish="length")) == ("length", "length")
    assert finish(Emission(number=1, model="m", finish="refusal")) == ("content_filter",) * 2


def test_errors_have_openais_form() -> None:
    assert chat.error(400, "no")["error"]["type"] == "invalid_request_error"
    assert chat.error(500, "no")["error"]["type"] == "server_error"
    assert chat.stream_error("no").startswith(b'data: {"error":{"message":"no"')
