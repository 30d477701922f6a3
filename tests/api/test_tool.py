import json
from dataclasses import replace
from typing import Any

import pytest
from tests.api.event import intent
from tests.api.plane import Plane, organisation
from tests.tools import tool

from ringfence.analysis.tool_pin import pin_of
from ringfence.domain.action import ActionKind
from ringfence.domain.organisation import Role
from ringfence.domain.tool import PermissionTier, ToolDefinition, ToolServer
from ringfence.domain.tool_source import ToolListing
from ringfence.domain.tool_view import ToolView


def see(plane: Plane, *tools: ToolDefinition, source: str = "crm", seen_us: int = 5) -> None:
    known = plane.acme.tools
    if source not in known:
        plane.load(replace(plane.acme, tools={**known, source: ToolServer(name=source)}))
    plane.tools.seen(
        ToolListing(
            organisation=plane.acme.id,
            source=source,
            raw=tuple(each.raw for each in tools),
            version="crm 2.0",
            seen_us=seen_us,
        )
    )


def _with_crm(plane: Plane, *views: ToolView, **changes: Any) -> None:  # noqa: ANN401 (fields of it)
    crm = ToolServer(name="crm", tiers=(("get_*", PermissionTier.READ),), views=views)
    plane.load(replace(organisation(), tools={"crm": crm}, **changes))


def test_tools_are_listed_with_how_they_stand(plane: Plane) -> None:
    _with_crm(plane, ToolView(tool="get_it", name="fetch"))
    see(plane, tool("get_it", "Gets\u200b it."), tool("put", inputSchema={}))
    page = plane.ask("GET", "tools").json()
    first, second = page["items"]
    assert (first["name"], first["state"], first["tier"]) == ("crm__get_it", "quarantined", "read")
    assert "U+200B" in first["why"]
    assert first["description"] == "Gets<U+200B> it."
    assert (first["shown"], first["version"]) == ("fetch", "crm 2.0")
    assert (second["state"], second["tier"], second["pinned_by"]) == (
        "ok",
        "consequential",
        "first use",
    )
    assert second["refused_by"] == ["openai", "anthropic", "bedrock", "mistral"]
    assert second["definition"] == ""
    held = plane.ask("GET", "tools?is_held=true&definitions=true").json()["items"]
    assert [each["name"] for each in held] == ["crm__get_it"]
    assert json.loads(held[0]["listed"])["name"] == "get_it"


def test_a_listing_is_paged_and_by_server(plane: Plane) -> None:
    see(plane, *[tool(f"t{at}") for at in range(3)])
    see(plane, tool("x", server="pay"), source="pay")
    page = plane.ask("GET", "tools?limit=2").json()
    rest = plane.ask("GET", f"tools?after={page['next']}").json()
    names = [each["name"] for each in (*page["items"], *rest["items"])]
    assert names == ["crm__t0", "crm__t1", "crm__t2", "pay__x"]
    assert rest["next"] is None
    [only] = plane.ask("GET", "tools?server=pay").json()["items"]
    assert only["name"] == "pay__x"


def test_drift_is_shown_with_whom_it_affects(plane: Plane) -> None:
    before = tool("find", inputSchema={"type": "object", "properties": {"q": {}, "status": {}}})
    after = tool("find", inputSchema={"type": "object", "properties": {"q": {}}})
    plane.write(
        *[
            (
                called(plane, f"act_{at}", agent),
                body,
            )
            for at, (agent, body) in enumerate(
                [("triage", b'{"q":1,"status":2}'), ("billing", b'{"status":3}'), ("idle", b"{}")]
            )
        ]
    )
    see(plane, before)
    assert plane.ask("GET", "tools/changes").json()["items"] == []
    see(plane, after)
    [change] = plane.ask("GET", "tools/changes").json()["items"]
    assert (change["name"], change["state"]) == ("crm__find", "changed")
    assert [each["what"] for each in change["changes"]] == ["`status` is gone"]
    assert change["effects"] == [
        "agents `billing` and `triage` call it with `status`: `status` is gone"
    ]
    assert change["listed_pin"] == pin_of(after)
    named = plane.ask("GET", "tools/changes?name=crm__find").json()["items"]
    assert named == [change]
    assert plane.ask("GET", "tools/changes?name=crm__none").code == "tool_unknown"


def called(plane: Plane, action: str, agent: str) -> Any:  # noqa: ANN401 (an event)
    event = intent(plane, action)
    event.action_kind = ActionKind.TOOL_CALL.value
    event.resource = "crm__find"
    event.agent_name = agent
    event.time_us = str(plane.clock.now_us())
    return event


def test_what_is_gone_says_who_used_it_and_what_is_new_says_what_it_is(plane: Plane) -> None:
    plane.write((called(plane, "act_1", "triage"), b"{}"))
    see(plane, tool("find"))
    see(plane, tool("other", "Something else."))
    changes = {each["name"]: each for each in plane.ask("GET", "tools/changes").json()["items"]}
    assert changes["crm__find"]["effects"] == ["used by `triage`"]
    assert changes["crm__other"]["changes"][0]["after"] == "Something else."


def test_a_changed_tool_is_accepted_by_a_builder_and_that_is_on_record(plane: Plane) -> None:
    see(plane, tool("get"))
    see(plane, tool("get", "Better."))
    stale = plane.ask("POST", "tools/accept", body={"name": "crm__get", "pin": "sha256:0"})
    assert stale.code == "tool_changed"
    plane.is_recording = False
    assert plane.ask("POST", "tools/accept", body={"name": "crm__get"}).status == 503
    assert plane.ask("GET", "tools?is_held=true").json()["items"] != []
    plane.is_recording = True
    pin = pin_of(tool("get", "Better."))
    body = {"name": "crm__get", "pin": pin}
    answer = plane.ask("POST", "tools/accept", body=body, key=plane.key(Role.BUILDER)).json()
    assert (answer["state"], answer["pin"]) == ("ok", pin)
    assert answer["pinned_by"].startswith("user:")
    [note] = plane.notes
    assert (note.what, note.subject, note.detail["pin"]) == ("tool.accepted", "crm__get", pin)
    assert plane.state.tools.all()[0].pins[0].pin == pin


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.AUDITOR])
def test_only_builders_accept(plane: Plane, role: Role) -> None:
    see(plane, tool("get"))
    answer = plane.ask("POST", "tools/accept", body={"name": "crm__get"}, key=plane.key(role))
    assert answer.status == 403


def test_every_definition_that_a_tool_had_is_remembered(plane: Plane) -> None:
    see(plane, tool("get"), seen_us=1)
    see(plane, tool("get", "Other."), seen_us=2)
    items = plane.ask("GET", "tools/history?name=crm__get").json()["items"]
    assert [
        (each["first_us"], json.loads(each["definition"])["description"]) for each in items
    ] == [
        ("2", "Other."),
        ("1", "Does it."),
    ]
    first = plane.ask("GET", "tools/history?name=crm__get&limit=1").json()
    rest = plane.ask("GET", f"tools/history?name=crm__get&limit=1&after={first['next']}").json()
    assert first["items"] + rest["items"] == items
    assert rest["next"] is None
    assert plane.ask("GET", "tools/history?name=crm__none").code == "tool_unknown"


def test_changes_come_in_pages(plane: Plane) -> None:
    see(plane, tool("get"), tool("find"))
    see(plane, tool("get", "Other."), tool("find", "Other."))
    whole = plane.ask("GET", "tools/changes").json()["items"]
    first = plane.ask("GET", "tools/changes?limit=1").json()
    rest = plane.ask("GET", f"tools/changes?limit=1&after={first['next']}").json()
    assert (len(whole), first["items"] + rest["items"]) == (2, whole)
    assert rest["next"] is None


def test_tools_of_another_organisation_do_not_exist(plane: Plane) -> None:
    plane.tools.seen(ToolListing(organisation="org_other", source="crm", raw=(tool("get").raw,)))
    assert plane.ask("GET", "tools").json()["items"] == []
    assert plane.ask("POST", "tools/accept", body={"name": "crm__get"}).code == "tool_unknown"


def test_with_a_lock_file_it_is_the_file_that_accepts(plane: Plane) -> None:
    _with_crm(plane, tool_lock={"crm": (tool("get_it").raw,)})
    see(plane, tool("get_it"), tool("put"))
    lines = plane.ask("GET", "tools").json()["items"]
    assert [(each["state"], each["pinned_by"]) for each in lines] == [
        ("ok", "lock file"),
        ("new", "first use"),
    ]
