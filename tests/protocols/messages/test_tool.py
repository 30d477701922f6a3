"""Whose a tool is follows from its type, and a type that is new is the provider's."""

import json

import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.protocols.messages import MessagesCodec
from ringfence.protocols.messages.tool import CLIENT_TYPES, HOSTED_TYPES

CODEC = MessagesCodec()

# Every tool type of the anthropic SDK 2.11.0 (`BetaToolUnionParam`).
OF_THE_CLIENT = [
    "custom",
    "bash_20241022",
    "bash_20250124",
    "text_editor_20241022",
    "text_editor_20250124",
    "text_editor_20250429",
    "text_editor_20250728",
    "computer_20241022",
    "computer_20250124",
    "computer_20251124",
    "computer_toolset_20260801",
    "browser_toolset_20260801",
    "memory_20250818",
]
OF_THE_PROVIDER = {
    "web_search_20250305": "web_search",
    "web_search_20260209": "web_search",
    "web_search_20260318": "web_search",
    "web_fetch_20250910": "web_fetch",
    "web_fetch_20260318": "web_fetch",
    "code_execution_20250522": "code_execution",
    "code_execution_20260521": "code_execution",
    "tool_search_tool_bm25": "tool_search",
    "tool_search_tool_bm25_20251119": "tool_search",
    "tool_search_tool_regex_20251119": "tool_search",
    "advisor_20260301": "advisor",
    "mcp_toolset": "mcp_toolset",
    "teleporter_20270101": "teleporter",
    "bash_code_execution": "bash_code_execution",
    "customised": "customised",
    "": "",
}


def parse(**fields: object) -> ModelRequest:
    body = {"model": "m", "messages": [], **fields}
    return CODEC.parse(json.dumps(body).encode())


def test_every_row_of_the_tables_is_tried_here() -> None:
    families = {
        kind.removesuffix(kind[-9:]) if kind[-8:].isdigit() else kind for kind in OF_THE_CLIENT
    }
    assert set(CLIENT_TYPES) == families
    assert set(HOSTED_TYPES.values()) <= set(OF_THE_PROVIDER.values())


@pytest.mark.parametrize("kind", OF_THE_CLIENT)
def test_what_the_agent_carries_out_is_named(kind: str) -> None:
    request = parse(tools=[{"type": kind, "name": "a_tool"}])
    assert (request.tools, request.hosted_tools) == (("a_tool",), ())


@pytest.mark.parametrize(("kind", "name"), OF_THE_PROVIDER.items())
def test_what_the_provider_carries_out_is_put_to_policy(kind: str, name: str) -> None:
    request = parse(tools=[{"type": kind, "name": "a_tool"}])
    assert (request.tools, request.hosted_tools) == ((), (Feature(name, kind),))


def test_a_tool_without_a_type_is_the_agents_own() -> None:
    assert parse(tools=[{"name": "a"}, {"name": "b", "type": None}]).tools == ("a", "b")


def test_a_toolset_without_a_name_is_named_by_its_kind() -> None:
    assert parse(tools=[{"type": "browser_toolset_20260801"}]).tools == ("browser_toolset",)


@pytest.mark.parametrize("tools", [None, []])
def test_no_tools_are_none(tools: object) -> None:
    assert parse(tools=tools).tools == ()


def test_servers_that_the_provider_would_call_are_named_by_address() -> None:
    request = parse(mcp_servers=[{"type": "url", "url": "https://a.example/mcp", "name": "a"}, 7])
    assert request.hosted_tools == (
        Feature("mcp_servers", "https://a.example/mcp"),
        Feature("mcp_servers"),
    )
    assert parse(mcp_servers=[]).hosted_tools == ()


def test_a_tool_list_sent_again_is_read_alike() -> None:
    tools = [{"name": "a"}, {"type": "web_search_20260318", "name": "web_search"}]
    first, second = parse(tools=tools), parse(tools=tools)
    assert (first.tools, first.hosted_tools) == (second.tools, second.hosted_tools)
    assert first.tools == ("a",)


SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}


@pytest.mark.parametrize(
    ("tools", "uses"),
    [
        ([SEARCH | {"max_uses": 3}], 3),
        ([SEARCH | {"max_uses": 3}, FETCH | {"max_uses": 2}], 5),
        ([SEARCH | {"max_uses": 3}, FETCH], None),
        ([SEARCH | {"max_uses": None}], None),
        ([{"name": "mine", "max_uses": 3}], None),
    ],
)
def test_the_uses_that_a_client_allows_are_summed_if_each_tool_has_a_bound(
    tools: list[dict[str, object]], uses: int | None
) -> None:
    body = {"model": "m", "max_tokens": 1, "messages": [], "tools": tools}
    assert CODEC.parse(json.dumps(body).encode()).hosted_uses == uses


@pytest.mark.parametrize("uses", [0, -1, 1.5, "3", True])
def test_a_bound_of_uses_is_a_whole_number(uses: object) -> None:
    body = {"model": "m", "max_tokens": 1, "messages": [], "tools": [SEARCH | {"max_uses": uses}]}
    with pytest.raises(PeerError, match="max_uses"):
        CODEC.parse(json.dumps(body).encode())
