from typing import Any

import pytest

from ringfence.domain.model import Dialect
from ringfence.domain.usage import Usage
from ringfence.testing.model import responses
from ringfence.testing.model.composition import emit, input_tokens
from ringfence.testing.model.question import Conversation, Question, Tool
from ringfence.testing.model.script import Faults, ScriptedAnswer, ScriptedCall, ScriptedUsage


def asked(**changes: Any) -> Question:  # noqa: ANN401 (fields of a Question)
    fields: dict[str, Any] = {
        "dialect": Dialect.CHAT,
        "model": "m",
        "conversation": Conversation(user="hello", tool_results=("old", "new"), turn=3),
        "body_bytes": 9,
    }
    return Question(**fields | changes)


@pytest.mark.parametrize("is_sealed", [True, False])
def test_reasoning_is_sealed_for_whoever_asks(*, is_sealed: bool) -> None:
    question = asked(dialect=Dialect.RESPONSES, wants_sealed_reasoning=is_sealed)
    document = responses.whole(emit(ScriptedAnswer(text="a", reasoning="d"), question, None, 1))
    reasoning, _ = document["output"]
    assert ("encrypted_content" in reasoning) is is_sealed


def test_placeholders_are_filled_once_and_other_braces_stay() -> None:
    answer = ScriptedAnswer(text="{user} {tool_result} {model} {turn} {tools} {x} {}")
    question = asked(tools=(Tool(name="a"), Tool(name="b")))
    assert emit(answer, question, None, 1).text.text == "hello new m 3 a, b {x} {}"
    odd = asked(conversation=Conversation(user="{model}"))
    assert emit(ScriptedAnswer(text="{user}"), odd, None, 1).text.text == "{model}"


def test_placeholders_are_filled_in_arguments_at_every_depth() -> None:
    call = ScriptedCall(name="w", arguments={"a": [{"b": "{user}"}], "n": 1})
    emission = emit(ScriptedAnswer(tool_calls=(call,)), asked(), None, 7)
    assert [(c.id, c.arguments) for c in emission.tool_calls] == [
        ("00000700", '{"a": [{"b": "hello"}], "n": 1}')
    ]


def test_arguments_given_as_text_may_be_broken() -> None:
    answer = ScriptedAnswer(tool_calls=(ScriptedCall(name="w", arguments="{broken"),))
    assert emit(answer, asked(), None, 1).tool_calls[0].arguments == "{broken"


def test_a_call_of_a_custom_tool_is_one() -> None:
    answer = ScriptedAnswer(tool_calls=(ScriptedCall(name="patch", arguments="x"),))
    question = asked(tools=(Tool(name="patch", is_custom=True),))
    assert emit(answer, question, None, 1).tool_calls[0].is_custom


def test_usage_is_counted_from_what_came_and_what_went() -> None:
    answer = ScriptedAnswer(text="a b c", reasoning="d e")
    assert emit(answer, asked(), None, 1).usage == Usage(
        input_tokens=3, output_tokens=5, reasoning_tokens=2
    )


def test_output_is_counted_for_every_answer_asked_for() -> None:
    answer = ScriptedAnswer(text="a b c", reasoning="d")
    usage = emit(answer, asked(answers=2), None, 1).usage
    assert usage == Usage(input_tokens=3, output_tokens=8, reasoning_tokens=2)


def test_usage_is_as_scripted_to_the_token() -> None:
    scripted = ScriptedUsage(
        input_tokens=100,
        output_tokens=50,
        cache_read_tokens=10,
        cache_write_tokens=20,
        cache_write_1h_tokens=30,
        reasoning_tokens=40,
    )
    assert emit(ScriptedAnswer(text="a", usage=scripted), asked(), None, 1).usage == Usage(
        input_tokens=100,
        output_tokens=50,
        cache_read_tokens=10,
        cache_write_tokens=20,
        cache_write_1h_tokens=30,
        reasoning_tokens=40,
    )


def test_counted_reasoning_never_exceeds_a_scripted_output() -> None:
    answer = ScriptedAnswer(reasoning="a b c", usage=ScriptedUsage(output_tokens=1))
    usage = emit(answer, asked(), None, 1).usage
    assert usage is not None
    assert usage.reasoning_tokens == 1


def test_usage_may_be_absent_or_zero() -> None:
    assert emit(ScriptedAnswer(text="a", usage="none"), asked(), None, 1).usage is None
    assert emit(ScriptedAnswer(text="a", usage="zero"), asked(), None, 1).usage == Usage(
        input_tokens=0, output_tokens=0
    )


def test_output_never_exceeds_the_limit_of_the_request() -> None:
    emission = emit(ScriptedAnswer(text="a b c"), asked(output_limit=2), None, 1)
    assert (emission.text.text, emission.finish) == ("a b ", "length")
    assert emission.usage is not None
    assert emission.usage.output_tokens == 2


def test_output_exceeds_the_limit_when_told_to() -> None:
    faults = Faults(ignore_output_limit=True)
    emission = emit(ScriptedAnswer(text="a b c", faults=faults), asked(output_limit=2), None, 1)
    assert (emission.text.count, emission.finish) == (3, "stop")


def test_a_runaway_answer_repeats_its_text() -> None:
    faults = Faults(runaway_tokens=5)
    emission = emit(ScriptedAnswer(text="a b ", faults=faults), asked(output_limit=2), None, 1)
    assert emission.text.text == "a b a b a "
    assert emit(ScriptedAnswer(faults=faults), asked(), None, 1).text.count == 5


@pytest.mark.parametrize(
    ("answer", "finish"),
    [
        (ScriptedAnswer(text="a"), "stop"),
        (ScriptedAnswer(tool_calls=(ScriptedCall(name="w"),)), "tool_calls"),
        (ScriptedAnswer(text="a", finish="refusal"), "refusal"),
    ],
)
def test_the_finish_follows_from_the_answer_unless_scripted(
    answer: ScriptedAnswer, finish: str
) -> None:
    assert emit(answer, asked(), None, 1).finish == finish


def test_the_answer_may_name_another_model() -> None:
    assert emit(ScriptedAnswer(), asked(), None, 1).model == "m"
    assert emit(ScriptedAnswer(model="m-2026"), asked(), None, 1).model == "m-2026"


def test_four_bytes_are_a_token_rounded_up() -> None:
    assert [input_tokens(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]


def test_a_call_of_a_tool_in_a_namespace_names_it() -> None:
    answer = ScriptedAnswer(tool_calls=(ScriptedCall(name="find"),))
    question = asked(tools=(Tool(name="find", namespace="crm"),))
    assert emit(answer, question, None, 1).tool_calls[0].namespace == "crm"
