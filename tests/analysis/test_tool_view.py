import json

import pytest

from ringfence.analysis.tool_view import inward, outward, view
from ringfence.domain.error import PeerError, UsageError
from ringfence.domain.tool_view import ErrorView, ParameterView, ToolView
from ringfence.protocols.tool_definition import read_definition

_SEARCH = {
    "name": "search",
    "title": "Search",
    "description": "Searches.",
    "x-vendor": {"kept": 1.5},
    "inputSchema": {
        "type": "object",
        "properties": {
            "q": {"type": "string"},
            "limit": {"type": "integer"},
            "status": {"type": "string", "description": "The status."},
            "tenant": {"type": "string"},
        },
        "required": ["q", "limit", "tenant"],
    },
}
_TOOL = read_definition("crm", json.dumps(_SEARCH).encode())
_VIEW = ToolView(
    tool="search",
    name="find_ticket",
    description="Find tickets by text.",
    parameters=(
        ParameterView(parameter="q", name="query", description="Words."),
        ParameterView(parameter="limit", default=b"20"),
        ParameterView(parameter="status", choices=(b'"open"', b'"closed"')),
        ParameterView(parameter="tenant", default=b'"acme"', is_hidden=True),
    ),
    errors=(
        ErrorView(match="*timed out*", say="The CRM is slow; try again once."),
        ErrorView(match="E*", say="The CRM says: {error}"),
    ),
)


def test_clients_see_a_tool_as_its_view_says_and_what_the_view_leaves_alone() -> None:
    seen = view(_TOOL, _VIEW)
    shown = json.loads(seen.raw)
    assert (shown["name"], shown["title"], shown["description"]) == (
        "find_ticket",
        "Search",
        "Find tickets by text.",
    )
    assert shown["x-vendor"] == {"kept": 1.5}
    assert shown["inputSchema"] == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "Words."},
            "limit": {"type": "integer", "default": 20},
            "status": {
                "type": "string",
                "description": "The status.",
                "enum": ["open", "closed"],
            },
        },
        "required": ["query"],
        "additionalProperties": False,
    }
    assert json.loads(seen.input_schema) == shown["inputSchema"]
    assert seen.key.name == "search"


def test_the_server_gets_its_own_names_with_defaults_and_the_bytes_of_values() -> None:
    sent = inward(_VIEW, b'{"query":"a\\u00e9","status":"open","n":9007199254740993,"f":1.10}')
    assert sent == (
        b'{"q":"a\\u00e9","status":"open","n":9007199254740993,"f":1.10,"limit":20,"tenant":"acme"}'
    )


def test_a_default_gives_way_to_what_was_sent() -> None:
    assert json.loads(inward(_VIEW, b'{"query":"x","limit":5}'))["limit"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (b'{"query":"x","tenant":"evil"}', "no parameter `tenant`"),
        (b'{"q":"x"}', "no parameter `q`"),
        (b'{"query":"x","status":"all"}', '`status` of `find_ticket` must be one of "open", "clo'),
        (b'{"query":"x","status":1}', "must be one of"),
    ],
)
def test_what_clients_are_not_shown_does_not_come_through(arguments: bytes, message: str) -> None:
    with pytest.raises(PeerError, match=message) as caught:
        inward(_VIEW, arguments)
    assert caught.value.code == "arguments_invalid"


def test_a_choice_may_be_spelt_as_json_allows() -> None:
    assert inward(_VIEW, b'{"query":"x","status":"\\u006fpen"}').count(b"open") == 0


def test_true_is_not_the_choice_1() -> None:
    one = ToolView(tool="t", parameters=(ParameterView(parameter="n", choices=(b"1",)),))
    with pytest.raises(PeerError, match="must be one of 1"):
        inward(one, b'{"n":true}')


def test_a_view_without_parameters_leaves_arguments_alone() -> None:
    assert inward(ToolView(tool="t", name="u"), b'{ "a" : 1 }') == b'{ "a" : 1 }'


def test_the_first_error_that_fits_is_told_instead() -> None:
    assert outward(_VIEW, "request timed out after 5s") == "The CRM is slow; try again once."
    assert outward(_VIEW, "E17") == "The CRM says: E17"
    assert outward(_VIEW, "no such ticket") == "no such ticket"


def test_a_view_of_another_tool_is_a_tool_of_its_own() -> None:
    own = ToolView(tool="open_tickets", of="search")
    seen = view(_TOOL, own)
    assert (seen.key.merged, own.origin, own.shown) == (
        "crm__open_tickets",
        "search",
        "open_tickets",
    )
    assert json.loads(seen.raw)["name"] == "open_tickets"
    assert seen.input_schema == _TOOL.input_schema


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (ParameterView(parameter="gone", name="x"), "has no parameter `gone`"),
        (ParameterView(parameter="q", is_hidden=True), "requires `q`, which is hidden"),
        (ParameterView(parameter="q", name="limit"), "two parameters by one name"),
    ],
)
def test_a_view_that_does_not_fit_its_tool_is_named(parameter: ParameterView, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        view(_TOOL, ToolView(tool="search", parameters=(parameter,)))
    assert caught.value.code == "view_unfit"


def test_two_parameters_may_change_names() -> None:
    swap = ToolView(
        tool="search",
        parameters=(
            ParameterView(parameter="q", name="status"),
            ParameterView(parameter="status", name="q"),
        ),
    )
    assert list(json.loads(view(_TOOL, swap).input_schema)["properties"]) == [
        "limit",
        "q",
        "status",
        "tenant",
    ]
    assert json.loads(inward(swap, b'{"q":"open","status":"words"}')) == {
        "status": "open",
        "q": "words",
    }
