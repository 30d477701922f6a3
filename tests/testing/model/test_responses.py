import json
from dataclasses import replace
from typing import Any

import pytest

from ringfence.domain.model import Dialect
from ringfence.domain.usage import Usage
from ringfence.testing.model import responses
from ringfence.testing.model.emission import Call, Emission, Tokens, split
from ringfence.testing.model.question import Conversation, Question

QUESTION = Question(dialect=Dialect.RESPONSES, model="m", conversation=Conversation())
USED = Usage(input_tokens=100, output_tokens=9, cache_read_tokens=10, reasoning_tokens=2)
CALL = Call(id="00000100", name="w", arguments='{"city": "Rome"}')
CUSTOM = Call(id="00000101", name="patch", arguments="*** begin", is_custom=True)
FULL = Emission(
    number=1,
    model="m",
    reasoning=split("I think."),
    text=split("Hello you."),
    tool_calls=(CALL, CUSTOM),
    finish="tool_calls",
    usage=USED,
)


def streamed(emission: Emission) -> list[dict[str, Any]]:
    events = []
    for event in responses.events(emission, QUESTION):
        head, _, data = event.partition(b"\ndata: ")
        document = json.loads(data)
        assert head.decode() == f"event: {document['type']}"
        events.append(document)
    return events


def joined(kind: str) -> str:
    return "".join(event["delta"] for event in streamed(FULL) if event["type"] == kind)


def test_a_document_holds_all_of_an_answer() -> None:
    document = responses.whole(FULL)
    assert (document["status"], document["incomplete_details"]) == ("completed", None)
    assert [item["type"] for item in document["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
    ]
    reasoning, message, call, custom = document["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "I think."}]
    assert message["content"][0]["text"] == "Hello you."
    assert (call["call_id"], call["arguments"]) == ("call_00000100", '{"city": "Rome"}')
    assert custom["input"] == "*** begin"


def test_usage_has_its_details() -> None:
    assert responses.whole(FULL)["usage"] == {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 109,
    }


def test_a_stream_carries_the_same_as_the_document() -> None:
    events = streamed(FULL)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    assert events[-1]["response"] == responses.whole(FULL)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == responses.whole(FULL)["output"]


def test_the_deltas_of_a_stream_make_up_its_items() -> None:
    assert joined("response.reasoning_summary_text.delta") == "I think."
    assert joined("response.output_text.delta") == "Hello you."
    assert joined("response.function_call_arguments.delta") == '{"city": "Rome"}'
    assert joined("response.custom_tool_call_input.delta") == "*** begin"


def test_every_item_that_is_added_is_done_at_its_place() -> None:
    places: dict[str, list[int]] = {"added": [], "done": []}
    for event in streamed(FULL):
        kind = event["type"].removeprefix("response.output_item.")
        if kind in places:
            places[kind].append(event["output_index"])
    assert places == {"added": [0, 1, 2, 3], "done": [0, 1, 2, 3]}


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("refusal", "content_filter")]
)
def test_an_answer_that_is_cut_is_incomplete(finish: Any, reason: str) -> None:  # noqa: ANN401 (a literal)
    cut = Emission(number=1, model="m", text=split("a"), finish=finish)
    last = streamed(cut)[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": reason}
    assert last["response"]["usage"] is None


def test_an_empty_answer_is_an_empty_message() -> None:
    (message,) = responses.whole(Emission(number=1, model="m"))["output"]
    assert message["content"][0]["text"] == ""


def test_an_error_in_the_stream_is_an_event() -> None:
    assert responses.stream_error("no").startswith(b'event: error\ndata: {"type":"error"')


def test_a_namespace_stands_beside_the_name_of_a_call() -> None:
    call = replace(CALL, namespace="crm")
    (item,) = responses.whole(replace(FULL, reasoning=Tokens(), text=Tokens(), tool_calls=(call,)))[
        "output"
    ]
    assert (item["name"], item["namespace"]) == ("w", "crm")
