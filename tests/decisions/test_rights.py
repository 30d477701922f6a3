"""What is left for a caller is never more than any of those who have a say allow."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.rights import least, narrowed, within
from ringfence.domain.agent import Agent, Category, Limits, Scope, TierRule
from ringfence.domain.caller import CallerTier
from ringfence.domain.organisation import User

API, BACKGROUND, SUBAGENT = CallerTier.API, CallerTier.BACKGROUND, CallerTier.SUBAGENT
AGENT = Agent(
    name="triage",
    owner="ann",
    team=None,
    category=Category.BOUNDED,
    purpose="",
    scope=Scope(models=frozenset({"small", "large", "embed"})),
    limits=Limits(model_calls=30, output_tokens=None),
    tiers={
        BACKGROUND: TierRule(models=frozenset({"small", "embed"}), limits=Limits(model_calls=9)),
        SUBAGENT: TierRule(models=frozenset({"small"})),
    },
)


def models(*tiers: CallerTier, user: User | None = None) -> set[str]:
    return set(narrowed(AGENT, tiers, user).scope.models)


def test_an_agent_nobody_narrows_is_the_agent_itself() -> None:
    assert narrowed(AGENT, (API,)) is AGENT
    assert narrowed(AGENT, (API,), User(name="ann")) is AGENT


def test_each_tier_on_the_way_takes_away() -> None:
    assert models(BACKGROUND) == {"small", "embed"}
    assert models(BACKGROUND, SUBAGENT) == {"small"}
    assert narrowed(AGENT, (BACKGROUND, SUBAGENT)).limits.model_calls == 9
    assert narrowed(AGENT, (SUBAGENT,)).limits == AGENT.limits


def test_a_user_takes_away_and_never_adds() -> None:
    assert models(API, user=User(name="ann", models=frozenset({"large", "secret"}))) == {"large"}
    assert models(API, user=User(name="ann", models=frozenset())) == set()


@given(
    st.frozensets(st.sampled_from(["small", "large", "embed", "other"])) | st.none(),
    st.lists(st.sampled_from(list(CallerTier)), unique=True),
)
def test_rights_are_never_more_than_anybodys(
    allowed: frozenset[str] | None, tiers: list[CallerTier]
) -> None:
    left = narrowed(AGENT, tiers, User(name="ann", models=allowed)).scope.models
    assert left <= AGENT.scope.models
    assert allowed is None or left <= allowed
    for tier in tiers:
        rule = AGENT.tiers.get(tier)
        assert rule is None or rule.models is None or left <= rule.models


LIMITS = st.builds(
    Limits,
    model_calls=st.none() | st.integers(1, 50),
    seconds=st.none() | st.integers(1, 50),
    depth=st.integers(0, 5),
)


@given(LIMITS, LIMITS)
def test_of_two_limits_the_smaller_holds(one: Limits, other: Limits) -> None:
    both = least(one, other)
    assert both == least(other, one)
    assert both.depth == min(one.depth, other.depth)
    known = [each.model_calls for each in (one, other) if each.model_calls is not None]
    assert both.model_calls == (min(known) if known else None)
    assert least(one, replace(one)) == one


def test_a_tool_needs_a_match_from_everybody_who_has_a_say() -> None:
    agents, users = ("crm__*", "files__read_*"), ("crm__get_*",)
    assert within("crm__get_ticket", [agents, users, None])
    assert not within("crm__delete_ticket", [agents, users])
    assert not within("files__read_all", [agents, users])
    assert within("files__read_all", [agents, None])
    assert not within("anything", [()])
    assert not within("CRM__get_ticket", [agents])
