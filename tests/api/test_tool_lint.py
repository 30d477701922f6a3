import msgspec
from tests.api.event import intent, outcome, refusal
from tests.api.plane import Plane
from tests.api.test_tool import see
from tests.tools import tool

from ringfence.domain.action import ActionKind

_FIND = tool(
    "find",
    inputSchema={
        "type": "object",
        "properties": {"status": {"enum": ["open"]}, "page": {"type": "integer"}},
    },
)


def test_tools_are_judged_as_they_are_listed(plane: Plane) -> None:
    see(plane, tool("find", ""))
    answer = plane.ask("GET", "tools/lint?server=crm").json()
    assert answer["tools"] == 1
    first = answer["findings"][0]
    assert (first["rule"], first["severity"], first["tool"]) == (
        "no_description",
        "error",
        "crm__find",
    )
    assert first["fix"]
    assert plane.ask("GET", "tools/lint?server=pay").code == "tool_server_unseen"


def test_without_any_server_there_is_nothing_to_say(plane: Plane) -> None:
    assert plane.ask("GET", "tools/lint").json() == {"tools": 0, "findings": [], "misuse": []}


def test_what_models_get_wrong_is_read_from_the_record(plane: Plane) -> None:
    asked = intent(plane, "act_0", invocation="inv_1")
    asked.resource = "small"
    called = intent(plane, "act_1", invocation="inv_1")
    called.action_kind, called.resource = ActionKind.TOOL_CALL.value, "crm__find"
    wrong = refusal(plane, "act_2", "arguments_invalid")
    wrong.resource, wrong.invocation = "crm__find", "inv_1"
    plane.write(asked, (called, b'{"status":"open"}'), (wrong, b'{"status":"all","page":"2"}'))
    see(plane, _FIND)
    found = plane.ask("GET", "tools/lint").json()["misuse"]
    assert [(each["tool"], each["parameter"], each["model"], each["wrong"]) for each in found] == [
        ("crm__find", "page", "small", 1),
        ("crm__find", "status", "small", 1),
    ]
    assert {each["calls"] + each["calls_before"] for each in found} == {2}


def test_errors_that_say_nothing_are_read_from_the_record(plane: Plane) -> None:
    for number, text in enumerate(("Error: failed", "null", "order 17 does not exist")):
        called = intent(plane, f"act_{number}")
        called.action_kind, called.resource = ActionKind.TOOL_CALL.value, "crm__find"
        ended = outcome(plane, called)
        ended.error = "tool_error"
        told = {"content": [{"type": "text", "text": text}], "isError": True}
        plane.write((called, b"{}"), (ended, msgspec.json.encode(told)))
    see(plane, _FIND)
    found = plane.ask("GET", "tools/lint").json()["findings"]
    [mute] = [each for each in found if each["rule"] == "error_says_nothing"]
    assert mute["tool"] == "crm__find"
    assert "2 of its 3 errors" in mute["what"]
