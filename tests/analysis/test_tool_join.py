import msgspec

from ringfence.analysis.tool_join import Asked, askers
from ringfence.domain.exchange import Message, Part, Reading


def model(action: str, *calls: tuple[str, str, str]) -> Asked:
    """A model call whose answer asks for tools: (id, name, arguments) each."""
    parts = [Part(kind="tool_call", id=id_, name=name, text=text) for id_, name, text in calls]
    reading = Reading(answer=Message(role="assistant", parts=[Part(kind="text"), *parts]))
    return Asked(action=action, kind="model.call", resource="m", call_id="", reading=reading)


def tool(action: str, name: str = "crm__get_job", arguments: str = "{}", id_: str = "") -> Asked:
    reading = Reading(answer=Message(role="tool", parts=[Part(kind="tool_call", text=arguments)]))
    return Asked(action=action, kind="tool.call", resource=name, call_id=id_, reading=reading)


def test_the_models_own_id_tells_whatever_the_names_are() -> None:
    steps = [
        model("m1", ("toolu_1", "x", "{}"), ("toolu_2", "crm__get_job", "{}")),
        tool("t1", id_="toolu_1"),
        tool("t2", id_="toolu_2"),
    ]
    assert askers(steps) == {"t1": "m1", "t2": "m1"}


def test_without_an_id_name_and_arguments_tell() -> None:
    steps = [
        model("m1", ("", "mcp__crm__get_job", '{"b": 2, "a": 1}')),
        model("m2", ("", "get_job", '{"a": 9}')),
        tool("t1", arguments='{"a":1,"b":2}'),
        tool("t2", arguments='{"a":9}'),
        tool("t3", arguments='{"a":5}'),
    ]
    assert askers(steps) == {"t1": "m1", "t2": "m2"}


def test_of_two_equal_calls_each_has_its_own() -> None:
    call = ("", "crm__get_job", "{}")
    steps = [model("m1", call), tool("t1"), model("m2", call), tool("t2"), tool("t3")]
    assert askers(steps) == {"t1": "m1", "t2": "m2"}


def test_where_the_answer_is_not_kept_the_name_must_do() -> None:
    bare = Asked(
        action="m1",
        kind="model.call",
        resource="m",
        call_id="",
        reading=None,
        tool_calls=("get_job",),
    )
    assert askers([bare, tool("t1", arguments='{"a":1}'), tool("t2")]) == {"t1": "m1"}


def test_a_call_that_no_model_asked_for_has_no_asker() -> None:
    assert askers([tool("t1"), model("m1", ("", "other", "{}")), tool("t2")]) == {}


def test_a_call_that_waits_for_a_person_is_joined_and_so_is_what_comes_of_it() -> None:
    asked = model("m1", ("toolu_1", "crm__get_job", "{}"))
    held = msgspec.structs.replace(tool("t1"), is_held=True)
    assert askers([asked, held, tool("t2"), tool("t3")]) == {"t1": "m1", "t2": "m1"}


def test_a_client_may_write_an_underscore_for_a_hyphen() -> None:
    steps = [model("m1", ("", "srv-get_sum", "{}")), tool("t1", name="srv__get-sum")]
    assert askers(steps) == {"t1": "m1"}
