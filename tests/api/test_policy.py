import json
from pathlib import Path

import pytest
from tests.api.plane import Plane, organisation
from tests.api.test_policy_record import tool_call

from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import PolicySource
from ringfence.domain.tool import PermissionTier, ToolServer
from ringfence.domain.tool_source import ToolListing

_TEXT = """\
@id("large")
@ask("a large file")
forbid (principal, action == Action::"tool.call", resource == Tool::"files__read")
when { context.arguments has bytes && context.arguments.bytes > 100 };
@id("models") forbid (principal, action == Action::"model.call", resource);
"""
_TOOL = {
    "name": "read",
    "inputSchema": {"type": "object", "properties": {"bytes": {"type": "integer"}}},
}


def _organisation(text: str, name: str = "acme") -> Organisation:
    files = {"a.cedar": text} if text else {}
    return organisation(
        name,
        tools={"files": ToolServer(name="files", tiers=(("read", PermissionTier.READ),))},
        policies=PolicySource(files=files, digest="sha256:1", folder="policies"),
    )


@pytest.fixture
def governed(tmp_path: Path) -> Plane:
    plane = Plane(tmp_path, _organisation(_TEXT), _organisation("", "other"))
    raw = (json.dumps(_TOOL).encode(),)
    plane.tools.seen(ToolListing(organisation=plane.acme.id, source="files", raw=raw))
    return plane


def test_the_policies_in_force_are_listed(governed: Plane) -> None:
    found = governed.ask("GET", "policies?organisation=acme").json()
    assert (found["digest"], found["folder"], found["unchecked"]) == ("sha256:1", "policies", [])
    assert [(each["id"], each["source"], each["line"]) for each in found["policies"]] == [
        ("large", "a.cedar", 1),
        ("models", "a.cedar", 5),
    ]
    assert found["policies"][0]["ask"] == "a large file"


def test_what_is_known_of_tools_is_told(governed: Plane) -> None:
    (found,) = governed.ask("GET", "policies/tools?organisation=acme").json()["items"]
    assert found["name"] == "files__read"
    assert "bytes" in found["input_schema"]


@pytest.mark.parametrize(
    ("query", "verdict", "decides"),
    [
        ("resource=files__read", "allow", ["scope:triage:tools:files__*"]),
        (
            'resource=files__read&arguments={"bytes":500}',
            "ask",
            ["scope:triage:tools:files__*", "large"],
        ),
        ("resource=files__read&tier=irreversible", "ask", None),
        ("resource=mail__send", "deny", []),
        ("resource=small&action=model.call", "deny", ["models"]),
        ('resource=files__read&arguments={"bytes":"x"}', "deny", []),
    ],
)
def test_a_call_is_explained(
    query: str, verdict: str, decides: list[str] | None, governed: Plane
) -> None:
    query = query.replace('"', "%22")
    target = f"policies/explain?organisation=acme&agent=triage&{query}"
    found = governed.ask("GET", target).json()
    assert found["verdict"] == verdict
    deciding = [each["policy"]["id"] for each in found["considered"] if each["decided"]]
    if decides is not None:
        assert deciding == decides
    if "files__read" in query:
        assert "arguments.bytes" in found["reads"]


def test_an_agent_that_is_not_defined_cannot_be_explained(governed: Plane) -> None:
    target = "policies/explain?organisation=acme&agent=ghost&resource=x"
    assert governed.ask("GET", target).status == 404


def test_recorded_calls_are_decided_again_with_what_the_files_say_now(governed: Plane) -> None:
    governed.write(
        (tool_call(governed, "act_1"), b'{"bytes": 500}'),
        (tool_call(governed, "act_2"), b'{"bytes": 5}'),
        tool_call(governed, "act_3"),
    )
    target = "policies/replay?organisation=acme&since_us=0"
    found = governed.ask("GET", target).json()
    assert (found["decided"], found["unread"], found["changes"]) == (2, 1, 1)
    (changed,) = found["changed"]
    assert (changed["action"], changed["was"], changed["would"]) == ("act_1", "allow", "ask")
    assert "large" in changed["policies"]
    governed.reloading = [_organisation("")]
    assert governed.ask("GET", target).json()["changes"] == 0
    governed.reloading = []
    assert governed.ask("GET", target).status == 404


def test_nothing_of_another_organisation_is_read(governed: Plane) -> None:
    governed.write((tool_call(governed, "act_1"), b'{"bytes": 500}'))
    found = governed.ask("GET", "policies/replay?organisation=other&since_us=0").json()
    assert found["decided"] == 0
    assert governed.ask("GET", "policies/tools?organisation=other").json()["items"] == []
