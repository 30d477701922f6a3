from tests.tools import Keeping, listing, tool

from ringfence.analysis.tool_pin import pin_of
from ringfence.domain.tool import ToolDefinition
from ringfence.domain.tool_source import ToolSource
from ringfence.stores.state.store import StateStore
from ringfence.stores.state.tool import VERSIONS_KEPT


def _source(*tools: ToolDefinition, seen_us: int = 1, version: str = "1") -> ToolSource:
    return Keeping().custody.seen(listing(*tools, seen_us=seen_us, version=version))


def _keep(state: StateStore, *tools: ToolDefinition, seen_us: int, version: str = "1") -> None:
    listed = tuple((each.key.name, pin_of(each), each.raw) for each in tools)
    state.tools.keep(_source(*tools, seen_us=seen_us, version=version), listed)


def test_a_source_is_read_back_as_it_was_last_written(state: StateStore) -> None:
    _keep(state, tool("get", "Größe."), seen_us=1)
    _keep(state, tool("get", "Größe."), tool("put"), seen_us=2)
    assert state.tools.all() == (_source(tool("get", "Größe."), tool("put"), seen_us=2),)


def test_each_definition_is_remembered_once_with_when_it_was_listed(state: StateStore) -> None:
    one, other = tool("get"), tool("get", "Other.")
    _keep(state, one, seen_us=1)
    _keep(state, other, seen_us=2, version="2")
    _keep(state, one, seen_us=3, version="3")
    found = state.tools.history("org_acme", "crm", "get")
    assert [(each.raw, each.first_us, each.last_us, each.version) for each in found] == [
        (one.raw, 1, 3, "3"),
        (other.raw, 2, 2, "2"),
    ]
    assert state.tools.history("org_other", "crm", "get") == ()
    assert state.tools.history("org_acme", "crm", "put") == ()


def test_a_tool_that_never_stops_changing_is_remembered_in_bounds(state: StateStore) -> None:
    for at in range(VERSIONS_KEPT + 5):
        _keep(state, tool("get", f"Version {at}."), seen_us=at)
    found = state.tools.history("org_acme", "crm", "get")
    assert len(found) == VERSIONS_KEPT
    assert found[-1].first_us == 5
