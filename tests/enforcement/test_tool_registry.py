import json
from dataclasses import replace

from tests.enforcement.test_directory import configuration
from tests.gateways.world import organisation

from ringfence.domain.tool import PermissionTier, ToolDefinition, ToolKey, ToolServer, ToolState
from ringfence.domain.tool_rule import ToolRules
from ringfence.domain.tool_source import FIRST_USE, ToolListing
from ringfence.domain.tool_view import ParameterView, ToolView
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.tool_registry import DECLARED_KEPT, SERVER_KEPT, ToolRegistry
from ringfence.protocols.tool_definition import read_definition
from ringfence.testing.clock import ManualClock

_ACME = "org_acme"


class _Sink:
    def __init__(self) -> None:
        self.listings: list[ToolListing] = []

    def seen(self, listing: ToolListing) -> None:
        self.listings.append(listing)


def tool(name: str, description: str = "Does it.", server: str = "crm") -> ToolDefinition:
    raw = {"name": name, "description": description, "inputSchema": {"type": "object"}}
    return read_definition(server, json.dumps(raw).encode())


def registry(sink: _Sink | None = None) -> ToolRegistry:
    directory = Directory()
    crm = ToolServer(name="crm", tiers=(("get_*", PermissionTier.READ),))
    directory.install(configuration(replace(organisation(), tools={"crm": crm})), {})
    known = ToolRegistry(directory, ManualClock())
    known.on_seen = sink.seen if sink is not None else None
    return known


def _states(known: ToolRegistry, server: str = "crm") -> dict[str, ToolState]:
    return {each.definition.key.name: each.state for each in known.listed(_ACME, server)}


def test_the_first_listing_of_a_server_is_trusted() -> None:
    sink = _Sink()
    known = registry(sink)
    known.observe(_ACME, "crm", [tool("put"), tool("get_it")], "crm 1.0", "2025-11-25")
    assert list(_states(known).items()) == [("put", ToolState.OK), ("get_it", ToolState.OK)]
    found = known.find(_ACME, ToolKey(server="crm", name="get_it"))
    assert found is not None
    assert (found.tier, found.shown()) == (PermissionTier.READ, tool("get_it").raw)
    assert [each.version for each in sink.listings] == ["crm 1.0"]


def test_what_nobody_listed_is_not_found() -> None:
    known = registry()
    known.observe(_ACME, "crm", [tool("get")], "", "")
    assert known.find(_ACME, ToolKey(server="crm", name="put")) is None
    assert known.find("org_other", ToolKey(server="crm", name="get")) is None


def test_a_later_listing_is_held_against_the_first_and_told_once() -> None:
    sink = _Sink()
    known = registry(sink)
    known.observe(_ACME, "crm", [tool("get")], "1", "")
    for _ in range(3):
        known.observe(_ACME, "crm", [tool("get", "Steals."), tool("put")], "1", "")
    assert _states(known) == {"get": ToolState.CHANGED, "put": ToolState.NEW}
    assert len(sink.listings) == 2
    known.observe(_ACME, "crm", [tool("get")], "1", "")
    assert _states(known) == {"get": ToolState.OK}


def test_a_name_that_another_server_has_pinned_is_held() -> None:
    known = registry()
    known.observe(_ACME, "crm", [tool("refund")], "", "")
    known.observe(_ACME, "pay", [tool("Refund", server="pay"), tool("x", server="pay")], "", "")
    assert _states(known, "pay") == {"Refund": ToolState.SHADOWED, "x": ToolState.OK}
    known.observe("org_other", "pay", [tool("refund", server="pay")], "", "")
    found = known.find("org_other", ToolKey(server="pay", name="refund"))
    assert found is not None
    assert found.state is ToolState.OK


def test_first_use_does_not_trust_what_hides_something() -> None:
    known = registry()
    known.observe(_ACME, "crm", [tool("get", "Does\u200b it."), tool("put")], "", "")
    assert _states(known) == {"get": ToolState.QUARANTINED, "put": ToolState.OK}


def test_what_the_one_keeper_knows_replaces_what_a_worker_thought() -> None:
    sink = _Sink()
    one, other = registry(sink), registry()
    one.observe(_ACME, "crm", [tool("get")], "", "")
    other.observe(_ACME, "crm", [tool("get", "Else.")], "", "")
    truth = one.source(_ACME, "crm")
    assert truth is not None
    assert truth.pins[0].pinned_by == FIRST_USE
    other.take(truth)
    other.observe(_ACME, "crm", [tool("get", "Else.")], "", "")
    assert _states(other) == {"get": ToolState.CHANGED}


def test_tools_are_found_by_the_names_that_clients_see() -> None:
    known = registry()
    known.observe(_ACME, "crm", [tool("get")], "", "")
    found = known.named(_ACME, "crm", "get")
    assert found is not None
    assert (found.dispatched, found.input_schema) == ("get", b'{"type":"object"}')
    assert found.inward(b'{"a":1}') == b'{"a":1}'
    assert found.outward("no") == "no"
    assert known.named(_ACME, "crm", "put") is None


def test_a_reload_judges_again() -> None:
    known = registry()
    known.observe(_ACME, "crm", [tool("get")], "", "")
    before = known.named(_ACME, "crm", "get")
    known.reloaded()
    assert known.named(_ACME, "crm", "get") == before


def _viewed(*views: ToolView) -> ToolRegistry:
    directory = Directory()
    crm = ToolServer(
        name="crm",
        tiers=(("find", PermissionTier.READ), ("put", PermissionTier.WRITE)),
        views=views,
    )
    directory.install(configuration(replace(organisation(), tools={"crm": crm})), {})
    known = ToolRegistry(directory, ManualClock())
    known.observe(_ACME, "crm", [tool("find"), tool("put")], "", "")
    return known


def test_a_renamed_tool_keeps_its_name_in_scopes_and_is_found_by_the_one_clients_see() -> None:
    known = _viewed(ToolView(tool="find", name="find_customer", description="Finds."))
    found = known.named(_ACME, "crm", "find_customer")
    assert found is not None
    assert (found.key.merged, found.dispatched, found.tier) == (
        "crm__find",
        "find",
        PermissionTier.READ,
    )
    assert json.loads(found.shown())["name"] == "find_customer"
    assert known.named(_ACME, "crm", "find") is None


def test_a_view_of_a_tool_is_a_tool_of_its_own_with_the_tier_of_its_origin() -> None:
    known = _viewed(ToolView(tool="note", of="put"))
    found = known.find(_ACME, ToolKey(server="crm", name="note"))
    assert found is not None
    assert (found.dispatched, found.tier, found.shown_name) == ("put", PermissionTier.WRITE, "note")
    assert known.named(_ACME, "crm", "put") is not None


def test_a_hidden_tool_is_there_for_people_alone() -> None:
    known = _viewed(ToolView(tool="put", is_hidden=True))
    assert known.named(_ACME, "crm", "put") is None
    found = known.find(_ACME, ToolKey(server="crm", name="put"))
    assert found is not None
    assert found.is_hidden


def test_a_view_that_does_not_fit_quarantines_its_tool() -> None:
    parameters = (ParameterView(parameter="gone", name="x"),)
    known = _viewed(ToolView(tool="find", parameters=parameters))
    found = known.find(_ACME, ToolKey(server="crm", name="find"))
    assert found is not None
    assert (found.state, "`gone`" in found.why) == (ToolState.QUARANTINED, True)


def test_a_view_must_not_take_the_name_of_another_tool() -> None:
    known = _viewed(ToolView(tool="find", name="put"))
    taken = known.find(_ACME, ToolKey(server="crm", name="find"))
    assert taken is not None
    assert taken.state is ToolState.QUARANTINED
    found = known.named(_ACME, "crm", "put")
    assert found is not None
    assert (found.dispatched, found.state) == ("put", ToolState.OK)


def test_a_view_of_a_tool_that_is_not_there_is_nothing() -> None:
    assert set(_states(_viewed(ToolView(tool="x", of="gone"), ToolView(tool="y")))) == {
        "find",
        "put",
    }


_SDK = "agent/agt_1/sdk"


def test_what_a_client_declares_is_pinned_tool_by_tool_and_never_gone() -> None:
    known = registry()
    known.observe(_ACME, _SDK, [tool("a", server=_SDK)], "sdk/1", "chat")
    known.observe(_ACME, _SDK, [tool("b", server=_SDK)], "sdk/1", "chat")
    assert _states(known, _SDK) == {"a": ToolState.OK, "b": ToolState.OK}
    known.observe(_ACME, _SDK, [tool("a", "Else.", server=_SDK)], "sdk/2", "chat")
    assert _states(known, _SDK) == {"a": ToolState.CHANGED, "b": ToolState.OK}
    assert set(known.pins(_ACME, _SDK)) == {"a", "b"}
    assert known.pins(_ACME, "agent/agt_2/sdk") == {}


def test_what_a_client_declares_shadows_no_server_and_is_not_shadowed() -> None:
    known = registry()
    known.observe(_ACME, _SDK, [tool("refund", server=_SDK)], "", "")
    known.observe(_ACME, "pay", [tool("refund", server="pay")], "", "")
    other = "agent/agt_2/sdk"
    known.observe(_ACME, other, [tool("refund", server=other)], "", "")
    assert _states(known, "pay") == _states(known, other) == {"refund": ToolState.OK}


def test_a_client_that_makes_up_names_is_known_in_bounds() -> None:
    known = registry()
    for at in range(0, DECLARED_KEPT + 100, 50):
        tools = [tool(f"t{at + n}", server=_SDK) for n in range(50)]
        known.observe(_ACME, _SDK, tools, "", "")
    source = known.source(_ACME, _SDK)
    assert source is not None
    assert len(source.pins) == len(source.listing.raw) == DECLARED_KEPT


def test_a_tool_has_the_labels_of_its_server_s_lists() -> None:
    directory = Directory()
    rules = ToolRules(labels=(("get_*", frozenset({"untrusted"})),))
    crm = ToolServer(name="crm", rules=rules)
    directory.install(configuration(replace(organisation(), tools={"crm": crm})), {})
    known = ToolRegistry(directory, ManualClock())
    known.observe(_ACME, "crm", [tool("get_mail"), tool("put")], "", "")
    labels = {each.key.name: each.labels for each in known.listed(_ACME, "crm")}
    assert labels == {"get_mail": frozenset({"untrusted"}), "put": frozenset()}


def test_the_same_listing_in_the_other_era_is_no_news() -> None:
    sink = _Sink()
    known = registry(sink)
    known.observe(_ACME, "crm", [tool("get")], "crm 1", "2025-11-25")
    known.observe(_ACME, "crm", [tool("get")], "crm 1", "2026-07-28")
    assert len(sink.listings) == 1
    known.observe(_ACME, "crm", [tool("get")], "crm 2", "2026-07-28")
    assert len(sink.listings) == 2


def test_a_server_that_never_stops_listing_is_known_in_bounds() -> None:
    known = registry()
    known.observe(_ACME, "crm", [tool(f"t{at}") for at in range(SERVER_KEPT + 3)], "", "")
    assert len(known.listed(_ACME, "crm")) == SERVER_KEPT
