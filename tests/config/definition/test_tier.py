from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.agent import Limits, TierRule
from ringfence.domain.budget import Budget, Per
from ringfence.domain.caller import CallerTier
from ringfence.domain.money import Money

HEAD = """\
format: 1
organisation: acme
users: {ann: }
providers: {house: {protocol: openai, base_url: "http://localhost:1"}}
models: {small: {provider: house}, large: {provider: house}}
agents:
  triage:
    owner: ann
    models: [small]
    limits: {model_calls: 30, seconds: unlimited}
    tiers:
"""


def test_rules_of_a_tier_are_read(load_text: Callable[..., Loaded]) -> None:
    text = HEAD + (
        "      background: {models: [], budget: {usd: 1, per: day}, limits: {model_calls: 5}}\n"
        "      subagent: {models: [small]}\n"
    )
    agent = load_text(text).configuration.organisations["acme"].agents["triage"]
    background, subagent = agent.tiers[CallerTier.BACKGROUND], agent.tiers[CallerTier.SUBAGENT]
    assert isinstance(background.limits, Limits)
    assert (background.limits.model_calls, background.limits.seconds) == (5, None)
    assert background.budgets == (Budget(limit=Money(10**9), per=Per.DAY),)
    assert background.models == frozenset()
    assert subagent == TierRule(models=frozenset({"small"}))


def test_a_tier_can_only_be_narrower(problems_of: Callable[..., list[str]]) -> None:
    text = HEAD + (
        "      background: {models: [large], limits: {model_calls: 31, seconds: 5}}\n"
        "      api: {limits: {model_calls: unlimited}, owner: ann}\n"
        "      backgroud: {}\n"
    )
    assert problems_of(text) == [
        (
            "12:29: `large` in tier `background` of agent `triage` is not one of the agent's models"
            " | known: `small`"
        ),
        (
            "12:37: `model_calls` of tier `background` of agent `triage` is wider than the agent's"
            " | at most 30"
        ),
        (
            "13:13: `model_calls` of tier `api` of agent `triage` is wider than the agent's"
            " | at most 30"
        ),
        (
            "13:47: unknown key `owner` in tier `api` of agent `triage`"
            " | known: `budget`, `limits`, `models`"
        ),
        "14:7: unknown key `backgroud` in `tiers` of agent `triage` | did you mean `background`?",
    ]
