from tests.tools import tool

from ringfence.analysis.tool_lint.company import MOST_TOOLS, alike, count

_TEXT = "Finds open tickets of a customer by words, newest first"


def test_no_tool_and_too_many_are_told() -> None:
    assert [each.rule for each in count([])] == ["no_tools"]
    many = [tool(f"t{at}") for at in range(MOST_TOOLS + 1)]
    assert [each.rule for each in count(many)] == ["many_tools"]
    assert list(count(many[1:])) == []


def test_tools_that_say_the_same_are_told() -> None:
    tools = [tool("find", _TEXT), tool("search", f"{_TEXT}."), tool("close", "Closes a ticket.")]
    [found] = alike(tools)
    assert (found.rule, found.tool, "`find`" in found.what) == ("overlap", "search", True)


def test_short_descriptions_are_not_compared() -> None:
    assert list(alike([tool("a", "Does it."), tool("b", "Does it.")])) == []


def test_names_that_look_alike_are_told() -> None:
    [found] = alike([tool("list"), tool("1ist")])
    assert found.rule == "names_alike"
