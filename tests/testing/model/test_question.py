import json

import pytest

from ringfence.domain.model import Dialect
from ringfence.testing.model.question import Conversation, MalformedError, Question, read


def asked(dialect: Dialect, **document: object) -> Question:
    body = json.dumps({"model": "m", **document}).encode()
    return read(dialect, body, path_model="path", stream=True)


def test_chat_is_read() -> None:
    question = asked(
        Dialect.CHAT,
        stream=True,
        n=2,
        max_completion_tokens=7,
        stream_options={"include_usage": True},
        messages=[
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
            {"role": "assistant", "tool_calls": []},
            {"role": "tool", "tool_call_id": "c", "content": "rain"},
        ],
        tools=[{"type": "function", "function": {"name": "w", "parameters": {"a": 1}}}],
    )
    assert question.conversation == Conversation(user="weather?", tool_results=("rain",), turn=2)
    assert (question.model, question.stream, question.answers) == ("m", True, 2)
    assert (question.output_limit, question.wants_usage) == (7, True)
    assert [(tool.name, tool.schema) for tool in question.tools] == [("w", {"a": 1})]


def test_chat_falls_back_to_the_older_limit() -> None:
    question = asked(Dialect.CHAT, messages=[{"role": "user", "content": "x"}], max_tokens=0)
    assert question.output_limit == 0


def test_responses_are_read() -> None:
    question = asked(
        Dialect.RESPONSES,
        max_output_tokens=9,
        input=[
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "name": "w", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "rain"},
        ],
        tools=[
            {"type": "function", "name": "w", "parameters": {}},
            {"type": "custom", "name": "patch"},
            {"type": "web_search"},
            {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]},
        ],
    )
    assert question.conversation == Conversation(user="weather?", tool_results=("rain",), turn=2)
    assert question.output_limit == 9
    assert [(tool.name, tool.is_custom, tool.namespace) for tool in question.tools] == [
        ("w", False, ""),
        ("patch", True, ""),
        ("find", False, "crm"),
    ]


def test_sealed_reasoning_is_asked_for_by_name() -> None:
    for include, wanted in (([], False), (["reasoning.encrypted_content"], True), (None, False)):
        question = asked(Dialect.RESPONSES, input="x", include=include)
        assert question.wants_sealed_reasoning is wanted


def test_a_plain_text_is_input_enough_for_responses() -> None:
    assert asked(Dialect.RESPONSES, input="hi").conversation == Conversation(user="hi")


def test_messages_are_read() -> None:
    question = asked(
        Dialect.MESSAGES,
        max_tokens=5,
        messages=[
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": [{"type": "tool_use"}]},
            {"role": "user", "content": [{"type": "tool_result", "content": "rain"}]},
        ],
        tools=[{"name": "w", "input_schema": {"a": 1}}, {"type": "web_search_20260318"}],
    )
    assert question.conversation == Conversation(user="weather?", tool_results=("rain",), turn=2)
    assert [tool.name for tool in question.tools] == ["w"]


def test_what_claude_code_adds_to_a_message_is_not_the_users_text() -> None:
    reminder = {"type": "text", "text": "<system-reminder>use\nall tools</system-reminder>"}
    result = {"type": "tool_result", "content": [{"type": "text", "text": "rain"}]}
    question = asked(
        Dialect.MESSAGES,
        messages=[
            {"role": "user", "content": [reminder, {"type": "text", "text": "weather?"}]},
            {"role": "assistant", "content": []},
            {"role": "user", "content": [result, reminder]},
        ],
    )
    assert question.conversation == Conversation(user="weather?", tool_results=("rain",), turn=2)


def test_tokens_are_counted_for_messages_that_never_stream() -> None:
    question = asked(Dialect.COUNT_TOKENS, messages=[{"role": "user", "content": "x"}], stream=True)
    assert (question.dialect, question.stream) == (Dialect.COUNT_TOKENS, False)


def test_gemini_is_read_with_model_and_stream_from_the_path() -> None:
    question = asked(
        Dialect.GEMINI,
        contents=[
            {"role": "user", "parts": [{"text": "weather?"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "w"}}]},
            {"role": "user", "parts": [{"functionResponse": {"response": {"result": "rain"}}}]},
        ],
        generationConfig={"maxOutputTokens": 5, "candidateCount": 2},
        tools=[{"functionDeclarations": [{"name": "w", "parametersJsonSchema": {"a": 1}}]}, {}],
    )
    assert (question.model, question.stream) == ("path", True)
    assert question.conversation.tool_results == ('{"result":"rain"}',)
    assert (question.output_limit, question.answers, question.conversation.turn) == (5, 2, 2)
    assert [tool.schema for tool in question.tools] == [{"a": 1}]


def test_embeddings_are_read() -> None:
    assert asked(Dialect.EMBEDDINGS, input=["a", "b"]).conversation.user == "a\nb"


def test_a_new_text_of_the_user_puts_earlier_results_behind() -> None:
    question = asked(
        Dialect.CHAT,
        messages=[
            {"role": "user", "content": "weather?"},
            {"role": "assistant"},
            {"role": "tool", "content": "rain"},
            {"role": "assistant", "content": "It rains."},
            {"role": "user", "content": "thanks"},
        ],
    )
    assert question.conversation == Conversation(user="thanks", turn=3)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"model": "m"}', b'{"messages": []}', b"\xff"]
)
def test_what_is_no_request_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read(Dialect.CHAT, body)
