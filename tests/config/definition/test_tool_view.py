from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.tool_rule import FollowUp
from ringfence.domain.tool_view import ErrorView, ParameterView, ToolView, ViewStep

HEAD = """\
format: 1
organisation: acme
tools:
  crm:
    url: https://crm.example/mcp
    views:
"""


def test_what_is_wrong_with_a_view_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_a_view_says_what_clients_see(load_text: Callable[..., Loaded]) -> None:
    text = """\
      search:
        name: find_customer
        title: Find
        description: Finds a customer.
        parameters:
          q: {name: query, description: Words.}
          limit: {default: 20, hide: true}
          exact: {default: "20"}
          ratio: {default: 0.50}
          status: {enum: [open, 7, true, "true"], default: open}
          filter: {default: {a: [1, x], b: null}}
        errors: [{match: "*timeout*", say: "Wait."}]
      drop: {hide: true}
      opened: {of: search}
"""
    server = load_text(HEAD + text).configuration.organisations["acme"].tools["crm"]
    assert server.views == (
        ToolView(
            tool="search",
            name="find_customer",
            title="Find",
            description="Finds a customer.",
            parameters=(
                ParameterView(parameter="q", name="query", description="Words."),
                ParameterView(parameter="limit", default=b"20", is_hidden=True),
                ParameterView(parameter="exact", default=b'"20"'),
                ParameterView(parameter="ratio", default=b"0.5"),
                ParameterView(
                    parameter="status",
                    default=b'"open"',
                    choices=(b'"open"', b"7", b"true", b'"true"'),
                ),
                ParameterView(parameter="filter", default=b'{"a":[1,"x"],"b":null}'),
            ),
            errors=(ErrorView(match="*timeout*", say="Wait."),),
        ),
        ToolView(tool="drop", is_hidden=True),
        ToolView(tool="opened", of="search"),
    )


def test_a_view_may_be_made_of_several_calls(load_text: Callable[..., Loaded]) -> None:
    text = """\
      client_and_jobs:
        of: get_client
        then:
          jobs: {call: list_jobs, with: {client: $.result.id, all: true}}
          open: {call: count}
"""
    server = load_text(HEAD + text).configuration.organisations["acme"].tools["crm"]
    given = (("client", b'"$.result.id"'), ("all", b"true"))
    assert server.views == (
        ToolView(
            tool="client_and_jobs",
            of="get_client",
            steps=(
                ViewStep(name="jobs", call=FollowUp(call="list_jobs", arguments=given)),
                ViewStep(name="open", call=FollowUp(call="count")),
            ),
        ),
    )
