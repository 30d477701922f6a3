import json

import pytest

from ringfence.domain.model import Dialect
from ringfence.protocols import strict_json, tool_choice
from ringfence.protocols.request import LocatedRequest


def _request(dialect: Dialect, field: str, value: object) -> LocatedRequest:
    body = json.dumps({"x": 1, field: value}).encode()
    return LocatedRequest(
        dialect=dialect, model="m", body=body, spans=dict(strict_json.spans(body))
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", set()),
        (None, set()),
        ({"type": "function", "function": {"name": "a"}}, {"a"}),
        ({"type": "custom", "custom": {"name": "a"}}, {"a"}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "a"}}, {"type": "x"}],
                },
            },
            {"a"},
        ),
        ({"function": {"name": 7}}, set()),
    ],
)
def test_a_choice_in_chat_names_its_tools(choice: object, expected: set[str]) -> None:
    assert tool_choice.chosen(_request(Dialect.CHAT, "tool_choice", choice)) == expected


def test_each_dialect_has_its_own_words() -> None:
    choice: dict[str, object] = {"type": "function", "name": "a"}
    assert tool_choice.chosen(_request(Dialect.RESPONSES, "tool_choice", choice)) == {"a"}
    several = {"type": "allowed_tools", "mode": "auto", "tools": [choice]}
    assert tool_choice.chosen(_request(Dialect.RESPONSES, "tool_choice", several)) == {"a"}
    of_messages = {"type": "tool", "name": "a"}
    assert tool_choice.chosen(_request(Dialect.MESSAGES, "tool_choice", of_messages)) == {"a"}
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "b", 3]}}
    assert tool_choice.chosen(_request(Dialect.GEMINI, "toolConfig", config)) == {"a", "b"}
    assert tool_choice.chosen(_request(Dialect.EMBEDDINGS, "tool_choice", choice)) == set()
    assert tool_choice.chosen(_request(Dialect.CHAT, "other", choice)) == set()
