import json
from typing import Any

import pytest

from ringfence.domain.model import Dialect
from ringfence.domain.usage import Usage
from ringfence.testing.model import gemini
from ringfence.testing.model.emission import Call, Emission, split
from ringfence.testing.model.question import Conversation, Question
from ringfence.testing.model.script import Finish

QUESTION = Question(dialect=Dialect.GEMINI, model="m", conversation=Conversation())
USED = Usage(input_tokens=100, output_tokens=9, cache_read_tokens=10, reasoning_tokens=2)
CALL = Call(id="00000100", name="w", arguments='{"city": "Rome"}')
FULL = Emission(
    number=1,
    model="m",
    reasoning=split("I think."),
    text=split("Hello you."),
    tool_calls=(CALL,),
    usage=USED,
    answers=2,
)


def streamed(emission: Emission) -> list[dict[str, Any]]:
    events = list(gemini.events(emission, QUESTION))
    assert all(event.endswith(b"\r\n\r\n") for event in events)
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def test_a_document_holds_all_of_an_answer_as_often_as_asked() -> None:
    document = gemini.whole(FULL)
    assert [candidate["index"] for candidate in document["candidates"]] == [0, 1]
    assert document["candidates"][1]["content"]["parts"] == [
        {"text": "I think.", "thought": True},
        {"text": "Hello you."},
        {"functionCall": {"id": "call_00000100", "name": "w", "args": {"city": "Rome"}}},
    ]


def test_usage_counts_thoughts_apart_from_candidates() -> None:
    assert gemini.whole(FULL)["usageMetadata"] == {
        "promptTokenCount": 100,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 2,
        "cachedContentTokenCount": 10,
        "totalTokenCount": 109,
    }


def test_a_stream_carries_the_same_as_the_document() -> None:
    said, thought, called = "", "", []
    for document in streamed(FULL):
        for candidate in document["candidates"]:
            for part in candidate["content"]["parts"]:
                if candidate["index"] == 0 and "functionCall" in part:
                    called.append(part["functionCall"]["name"])
                elif candidate["index"] == 0 and part.get("thought"):
                    thought += part["text"]
                elif candidate["index"] == 0:
                    said += part["text"]
    assert (said, thought, called) == ("Hello you.", "I think.", ["w"])


def test_a_stream_gives_finish_and_usage_at_its_end() -> None:
    *others, last = streamed(FULL)
    assert not any("usageMetadata" in document for document in others)
    assert last["usageMetadata"] == gemini.usage(USED)
    assert [candidate["finishReason"] for candidate in last["candidates"]] == ["STOP", "STOP"]


def test_a_stream_can_be_one_array() -> None:
    assert gemini.array(FULL) == streamed(FULL)


def test_an_answer_without_usage_says_nothing_of_it() -> None:
    assert "usageMetadata" not in gemini.whole(Emission(number=1, model="m"))


@pytest.mark.parametrize(
    ("finish", "word"),
    [("stop", "STOP"), ("length", "MAX_TOKENS"), ("tool_calls", "STOP"), ("refusal", "SAFETY")],
)
def test_the_finish_has_geminis_words(finish: Finish, word: str) -> None:
    document = gemini.whole(Emission(number=1, model="m", finish=finish))
    assert document["candidates"][0]["finishReason"] == word


def test_arguments_that_are_no_json_are_given_raw() -> None:
    broken = Emission(number=1, model="m", tool_calls=(Call(id="1", name="w", arguments="{"),))
    parts = gemini.whole(broken)["candidates"][0]["content"]["parts"]
    assert parts[0]["functionCall"]["args"] == {"raw": "{"}


def test_errors_have_googles_form() -> None:
    assert gemini.error(429, "no") == {
        "error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED"}
    }
    assert gemini.error(418, "no")["error"]["status"] == "UNKNOWN"
    assert gemini.stream_error("no").startswith(b'data: {"error":{"code":500')
