from collections.abc import Callable

import pytest

from ringfence.config.loading import Loaded
from ringfence.domain.budget import Budget, Per
from ringfence.domain.money import Money

HEAD = """\
format: 1
organisation: acme
users: {ann@acme: {}}
agents:
  triage:
    owner: ann@acme
"""


def test_what_is_wrong_with_a_budget_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{usd: 5, per: day}",
        "[{usd: 5, per: day}]",
        "{usd: 5.000000000, per: day}",
        "{usd: '5', per: day}",
        "{usd: '${FIVE}', per: day}",
    ],
)
def test_a_budget_is_a_mapping_or_a_list(text: str, load_text: Callable[..., Loaded]) -> None:
    loaded = load_text(HEAD + f"    budget: {text}\n", FIVE="5")
    agent = loaded.configuration.organisations["acme"].agents["triage"]
    assert agent.budgets == (Budget(limit=Money(5_000_000_000), per=Per.DAY),)


@pytest.mark.parametrize("per", list(Per))
def test_an_agent_may_have_a_budget_in_every_window(
    per: Per, load_text: Callable[..., Loaded]
) -> None:
    loaded = load_text(HEAD + f"    budget: {{usd: 0.000000001, per: {per}}}\n")
    agent = loaded.configuration.organisations["acme"].agents["triage"]
    assert agent.budgets == (Budget(limit=Money(1), per=per),)
