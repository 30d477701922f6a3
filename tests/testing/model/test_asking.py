import pytest

from ringfence.domain.model import Dialect
from ringfence.testing.model.asking import asked_arguments, asked_tool
from ringfence.testing.model.question import Conversation, Question, Tool

SCHEMA = {
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["c", "f"]},
        "note": {"default": "none"},
        "unused": {"type": "string"},
    },
    "required": ["city", "days", "unit", "note"],
}
WEATHER = Tool(name="get_weather", schema=SCHEMA)
REMOTE = Tool(name="mcp__crm__find")


def asking(text: str) -> Question:
    return Question(
        dialect=Dialect.CHAT,
        model="m",
        conversation=Conversation(user=text),
        tools=(WEATHER, REMOTE),
    )


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("call get_weather", WEATHER),
        ("Please use the tool `get_weather` now", WEATHER),
        ("run find, then call get_weather", REMOTE),
        ("Use mcp__crm__find", REMOTE),
        ("what is get_weather?", None),
        ("call get_weather_now", None),
        ("recall get_weather", None),
    ],
)
def test_a_tool_is_asked_for_by_name(text: str, tool: Tool | None) -> None:
    assert asked_tool(asking(text)) == tool


def test_arguments_are_taken_from_the_text() -> None:
    assert asked_arguments('call get_weather with {"city": "Rome"}, please', WEATHER) == (
        '{"city": "Rome"}'
    )


def test_arguments_are_else_made_from_the_schema() -> None:
    made = '{"city": "example", "days": 1, "unit": "c", "note": "none"}'
    assert asked_arguments("call get_weather", WEATHER) == made
    assert asked_arguments("call get_weather {broken", WEATHER) == made


def test_a_custom_tool_gets_the_text_itself() -> None:
    tool = Tool(name="patch", is_custom=True)
    assert asked_arguments("run patch", tool) == "run patch"
