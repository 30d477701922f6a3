import json
from typing import Any

import pytest

from ringfence.domain.model import Dialect
from ringfence.domain.usage import Usage
from ringfence.testing.model import messages
from ringfence.testing.model.emission import Call, Emission, split
from ringfence.testing.model.question import Conversation, MalformedError, Question

QUESTION = Question(dialect=Dialect.MESSAGES, model="m", conversation=Conversation())
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
)


def streamed(emission: Emission) -> list[dict[str, Any]]:
    events = []
    for event in messages.events(emission, QUESTION):
        head, _, data = event.partition(b"\ndata: ")
        document = json.loads(data)
        assert head.decode() == f"event: {document['type']}"
        events.append(document)
    return events


def test_a_document_holds_all_of_an_answer() -> None:
    document = messages.whole(FULL)
    thinking, text, call = document["content"]
    assert (thinking["thinking"], bool(thinking["signature"])) == ("I think.", True)
    assert text == {"type": "text", "text": "Hello you."}
    assert call == {
        "type": "tool_use",
        "id": "toolu_00000100",
        "name": "w",
        "input": {"city": "Rome"},
    }
    assert document["stop_reason"] == "tool_use"


def test_usage_excludes_what_was_cached_from_the_input() -> None:
    assert messages.whole(FULL)["usage"] == {
        "input_tokens": 70,
        "output_tokens": 9,
        "cache_read_input_tokens": 10,
        "cache_creation_input_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5},
        "output_tokens_details": {"thinking_tokens": 2},
        "service_tier": "standard",
    }


def test_a_stream_carries_the_same_as_the_document() -> None:
    blocks: list[dict[str, Any]] = []
    grown: list[str] = []
    for event in streamed(FULL):
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append(event["content_block"])
            grown.append("")
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "signature_delta":
                blocks[-1]["signature"] = delta["signature"]
            else:
                grown[-1] += delta.get("text") or delta.get("thinking") or delta["partial_json"]
    blocks[0]["thinking"], blocks[1]["text"] = grown[0], grown[1]
    blocks[2]["input"] = json.loads(grown[2])
    assert blocks == messages.whole(FULL)["content"]


def test_a_stream_begins_with_its_input_and_ends_with_all_its_usage() -> None:
    start, *_, ending, stop = streamed(FULL)
    assert (start["type"], stop["type"]) == ("message_start", "message_stop")
    assert start["message"]["usage"] == {**messages.usage(USED), "output_tokens": 1}
    assert ending["usage"] == messages.usage(USED)
    assert ending["delta"]["stop_reason"] == "tool_use"


def test_an_answer_without_usage_says_nothing_of_it() -> None:
    silent = Emission(number=1, model="m", text=split("a"))
    assert "usage" not in messages.whole(silent)
    start, *_, ending, _stop = streamed(silent)
    assert "usage" not in start["message"]
    assert "usage" not in ending


def test_arguments_that_are_no_json_are_given_raw() -> None:
    broken = Emission(number=1, model="m", tool_calls=(Call(id="1", name="w", arguments="{"),))
    assert messages.whole(broken)["content"][0]["input"] == {"raw": "{"}


def test_the_finish_has_anthropics_words() -> None:
    def finish(emission: Emission) -> str:
        reason: str = messages.whole(emission)["stop_reason"]
        assert streamed(emission)[-2]["delta"]["stop_reason"] == reason
        return reason

    assert finish(Emission(number=1, model="m")) == "end_turn"
    assert finish(Emission(number=1, model="m", finish="length")) == "max_tokens"
    assert finish(Emission(number=1, model="m", finish="refusal")) == "refusal"


@pytest.mark.parametrize("version", [b"2023-06-01", b"2026-10-21"])
def test_both_versions_are_spoken(version: bytes) -> None:
    messages.check_version(version, b"{}")


@pytest.mark.parametrize("version", [None, b"2024-01-01"])
def test_no_version_and_other_versions_are_refused(version: bytes | None) -> None:
    with pytest.raises(MalformedError, match="anthropic-version"):
        messages.check_version(version, b"{}")


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_the_new_version_refuses_sampling_and_the_old_one_does_not(name: str) -> None:
    body = json.dumps({name: 1}).encode()
    messages.check_version(b"2023-06-01", body)
    with pytest.raises(MalformedError, match=name):
        messages.check_version(b"2026-10-21", body)


def test_errors_have_anthropics_form() -> None:
    kinds = {status: messages.error(status, "no")["error"]["type"] for status in (418, 429, 500)}
    assert kinds == {418: "invalid_request_error", 429: "rate_limit_error", 500: "api_error"}
    assert messages.stream_error("no").startswith(b'event: error\ndata: {"type":"error"')
