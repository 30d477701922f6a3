from collections.abc import Callable

from ringfence.config.definition.tool_rule import undeclared
from ringfence.config.loading import Loaded
from ringfence.domain.tool import ToolServer
from ringfence.domain.tool_rule import (
    USUAL,
    Compensation,
    FailureRule,
    FollowUp,
    Postcondition,
    Remedy,
    ToolFailure,
)

HEAD = """\
format: 1
organisation: acme
tools:
  crm:
    url: https://crm.example/mcp
"""


def server(text: str, load_text: Callable[..., Loaded]) -> ToolServer:
    return load_text(HEAD + text).configuration.organisations["acme"].tools["crm"]


def test_what_is_wrong_with_a_rule_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_a_server_that_says_nothing_has_what_is_usual(load_text: Callable[..., Loaded]) -> None:
    assert server("", load_text).rules == USUAL
    assert len(undeclared(USUAL)) == len(ToolFailure)


def test_what_happens_on_failure_is_read_for_all_tools_and_for_some(
    load_text: Callable[..., Loaded],
) -> None:
    text = """\
    on_failure:
      401: escalate
      429: [retry, cached, tell]
      away: alternative
      alternative: crm__search
      cache_seconds: 600
      tools:
        get_*: {5xx: [retry, cached], cache_seconds: 60}
    retries: 3
    idempotent: ["put_*"]
"""
    rules = server(text, load_text).rules
    special, usual = rules.failures
    assert special == FailureRule(
        pattern="get_*",
        remedies=((ToolFailure.SERVER_ERROR, (Remedy.RETRY, Remedy.CACHED)),),
        cache_s=60,
    )
    assert dict(usual.remedies) == {
        ToolFailure.UNAUTHORIZED: (Remedy.ESCALATE,),
        ToolFailure.RATE_LIMITED: (Remedy.RETRY, Remedy.CACHED, Remedy.TELL),
        ToolFailure.AWAY: (Remedy.ALTERNATIVE,),
    }
    assert (usual.alternative, usual.cache_s) == ("crm__search", 600)
    assert (rules.retries, rules.idempotent) == (3, ("put_*",))
    assert undeclared(rules) == ("403", "404", "5xx", "timeout", "malformed", "empty")


def test_bounds_prices_and_labels_are_read_in_the_order_of_the_file(
    load_text: Callable[..., Loaded],
) -> None:
    text = """\
    result_bytes: 4096
    price_usd: {search_*: 0.001, "*": 0.0001}
    labels: {get_mail: [untrusted, personal]}
    unchecked: [legacy_*]
"""
    rules = server(text, load_text).rules
    assert rules.result_bytes == 4096
    assert rules.unchecked == ("legacy_*",)
    assert rules.prices == (("search_*", 1_000_000), ("*", 100_000))
    assert rules.labels == (("get_mail", frozenset({"untrusted", "personal"})),)
    assert server("    price_usd: 0.5\n", load_text).rules.prices == (("*", 500_000_000),)


def test_what_follows_from_a_call_is_read_with_its_paths(load_text: Callable[..., Loaded]) -> None:
    text = """\
    postconditions:
      refund: {call: get_order, with: {id: $.arguments.order, deep: true}, expect: {status: done}}
    compensation:
      create_*: {call: crm__cancel_order, with: {id: "$.result.items[0].id"}}
"""
    rules = server(text, load_text).rules
    check = FollowUp(
        call="get_order", arguments=(("id", b'"$.arguments.order"'), ("deep", b"true"))
    )
    assert rules.postconditions == (
        Postcondition(pattern="refund", check=check, expect=(("status", b'"done"'),)),
    )
    undo = FollowUp(call="crm__cancel_order", arguments=(("id", b'"$.result.items[0].id"'),))
    assert rules.compensations == (Compensation(pattern="create_*", undo=undo),)


def test_a_server_that_leaves_failures_to_what_is_usual_is_noted(
    notes_of: Callable[..., list[str]],
) -> None:
    every = "{401: tell, 403: tell, 404: tell, 429: retry, 5xx: tell, timeout: tell, "
    whole = f"    on_failure: {every}malformed: tell, empty: tell, away: tell}}\n"
    assert not [note for note in notes_of(HEAD + whole) if "what happens on" in note]
    [note] = [note for note in notes_of(HEAD + "    on_failure: {401: tell}\n") if "on 403" in note]
    assert note.startswith("5:5: tool server `crm` does not say what happens on 403, 404, 429")
