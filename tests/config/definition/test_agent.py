from collections.abc import Callable
from textwrap import indent

import pytest

from ringfence.config.loading import Loaded
from ringfence.domain.agent import CATEGORY_DEFAULTS, Category, Limits

HEAD = """\
format: 1
organisation: acme
users: {ann@acme: {}, bob@acme: {}}
teams: {support: {budget: {usd: 10, per: day}}}
providers: {house: {protocol: openai, base_url: "http://localhost:1/v1"}}
models: {small: {provider: house}, large: {provider: house}}
tools: {crm: {url: "https://crm.example/mcp"}}
"""
"""Seven lines, so that what a test adds begins on line 8."""

TRIAGE = HEAD + "agents:\n  triage:\n"


def triage(fragment: str) -> str:
    return TRIAGE + indent(fragment, "    ") + "\n"


def test_what_is_wrong_with_an_agent_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def limits_of(loaded: Loaded) -> Limits:
    return loaded.configuration.organisations["acme"].agents["triage"].limits


@pytest.mark.parametrize("category", list(Category))
def test_an_agent_without_limits_has_those_of_its_category(
    category: Category, load_text: Callable[..., Loaded]
) -> None:
    loaded = load_text(triage(f"owner: ann@acme\ncategory: {category}"))
    assert limits_of(loaded) == CATEGORY_DEFAULTS[category]


def test_limits_that_are_not_named_stay_those_of_the_category(
    load_text: Callable[..., Loaded],
) -> None:
    limits = limits_of(load_text(triage("owner: ann@acme\nlimits: {model_calls: 3, depth: 2}")))
    assert (limits.model_calls, limits.depth) == (3, 2)
    assert limits.seconds == CATEGORY_DEFAULTS[Category.BOUNDED].seconds


def test_a_limit_can_be_lifted_by_word(load_text: Callable[..., Loaded]) -> None:
    limits = limits_of(load_text(triage("owner: ann@acme\nlimits: {model_calls: unlimited}")))
    assert limits.model_calls is None


@pytest.mark.parametrize(
    ("limits", "cap", "written"),
    [
        ("{output_tokens: 64000}", 64000, 64000),
        ("{output_tokens: 64000, default_output_tokens: 100}", 64000, 100),
        ("{default_output_tokens: 100}", None, 100),
        ("{seconds: 5}", None, CATEGORY_DEFAULTS[Category.BOUNDED].default_output_tokens),
    ],
)
def test_a_cap_on_output_is_also_written_unless_another_default_is_given(
    limits: str, cap: int | None, written: int, load_text: Callable[..., Loaded]
) -> None:
    found = limits_of(load_text(triage(f"owner: ann@acme\nlimits: {limits}")))
    assert (found.output_tokens, found.default_output_tokens) == (cap, written)


def test_an_agent_escalates_to_its_owner_unless_told_otherwise(
    load_text: Callable[..., Loaded],
) -> None:
    agents = load_text(triage("owner: ann@acme")).configuration.organisations["acme"].agents
    assert agents["triage"].escalate_to == "ann@acme"


def test_patterns_of_scope_are_kept_in_order(load_text: Callable[..., Loaded]) -> None:
    text = triage(
        "owner: ann@acme\nmodels: [small]\ntools: [crm__get_*]\n"
        'hosts: ["*.example.com", "api.example.com:8443", "[::1]"]\ncommands: [git, /bin/ls]'
    )
    scope = load_text(text).configuration.organisations["acme"].agents["triage"].scope
    assert scope.models == {"small"}
    assert scope.tools == ("crm__get_*",)
    assert scope.hosts == ("*.example.com", "api.example.com:8443", "[::1]")
    assert scope.commands == ("git", "/bin/ls")


def test_a_version_is_text_as_it_is_written(load_text: Callable[..., Loaded]) -> None:
    agents = load_text(triage("owner: ann@acme\nversion: 1.10")).configuration.organisations
    assert agents["acme"].agents["triage"].version == "1.10"
