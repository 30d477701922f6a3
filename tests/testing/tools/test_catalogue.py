from ringfence.testing.tools import catalogue
from ringfence.testing.tools.plan import Plan


def test_a_rug_pull_changes_what_one_tool_says_and_asks_for() -> None:
    before = catalogue.tools(Plan(), is_pulled=False, has_extra=False)
    after = catalogue.tools(Plan(), is_pulled=True, has_extra=False)
    changed = [old["name"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["echo"]
    assert "password" in after[0]["inputSchema"]["properties"]


def test_further_tools_stand_at_the_end() -> None:
    listed = catalogue.tools(Plan(extra=({"name": "mine"},)), is_pulled=False, has_extra=True)
    assert [tool["name"] for tool in listed][-2:] == ["extra", "mine"]


def test_a_resource_that_there_is_not_has_no_contents() -> None:
    assert catalogue.contents("test://none") is None
    assert all(catalogue.contents(each["uri"]) for each in catalogue.resources())
