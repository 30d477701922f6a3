"""Counted limits hold for an invocation and everything below it."""

from ringfence.decisions.limit import TreeCounts, deadline, deadline_us, model_call, sub_agent
from ringfence.domain.agent import Agent, Category, Limits
from ringfence.domain.verdict import Code, Reason

SECOND_US = 1_000_000


def agent(limits: Limits) -> Agent:
    return Agent(
        name="triage",
        owner="o@x",
        team=None,
        category=Category.BOUNDED,
        purpose="",
        limits=limits,
    )


def refused(found: Reason | None) -> dict[str, str]:
    assert found is not None
    assert found.code is Code.LIMIT_REACHED
    return dict(found.facts)


def test_a_tree_makes_so_many_model_calls_and_no_more() -> None:
    two, counts = agent(Limits(model_calls=2)), TreeCounts()
    assert model_call(two, counts) is None
    assert model_call(two, counts) is None
    facts = refused(model_call(two, counts))
    assert (facts["limit"], facts["allowed"]) == ("model_calls", "2")
    assert counts.model_calls == 2


def test_a_refused_call_does_not_count_when_the_limit_is_raised() -> None:
    counts = TreeCounts(model_calls=2)
    refused(model_call(agent(Limits(model_calls=2)), counts))
    assert model_call(agent(Limits(model_calls=3)), counts) is None


def test_without_a_limit_calls_are_counted_all_the_same() -> None:
    counts = TreeCounts()
    assert model_call(agent(Limits()), counts) is None
    assert counts.model_calls == 1


def test_a_limit_of_zero_allows_nothing() -> None:
    refused(model_call(agent(Limits(model_calls=0)), TreeCounts()))


def test_a_tree_has_so_many_sub_agents_and_no_more() -> None:
    parent, counts = agent(Limits(depth=1, sub_agents=1)), TreeCounts()
    assert sub_agent(parent, counts, 1) is None
    assert refused(sub_agent(parent, counts, 1))["limit"] == "sub_agents"
    assert counts.sub_agents == 1


def test_a_tree_is_so_deep_and_no_deeper() -> None:
    parent, counts = agent(Limits(depth=2, sub_agents=9)), TreeCounts()
    assert sub_agent(parent, counts, 2) is None
    found = sub_agent(parent, counts, 3)
    assert refused(found)["limit"] == "depth"
    assert counts.sub_agents == 1


def test_by_default_an_agent_has_no_sub_agents() -> None:
    refused(sub_agent(agent(Limits()), TreeCounts(), 1))


def test_an_invocation_ends_at_the_earlier_of_its_own_limit_and_its_parents() -> None:
    minute = agent(Limits(seconds=60))
    assert deadline_us(minute, 5) == 60 * SECOND_US + 5
    assert deadline_us(minute, 5, 30 * SECOND_US) == 30 * SECOND_US
    assert deadline_us(minute, 5, 90 * SECOND_US) == 60 * SECOND_US + 5
    assert deadline_us(agent(Limits()), 5, 90) == 90
    assert deadline_us(agent(Limits()), 5) is None


def test_an_invocation_runs_up_to_its_deadline_and_not_beyond() -> None:
    minute = agent(Limits(seconds=60))
    ends_us = deadline_us(minute, 0)
    assert deadline(minute, 0, ends_us, 60 * SECOND_US - 1) is None
    facts = refused(deadline(minute, 0, ends_us, 60 * SECOND_US))
    assert (facts["limit"], facts["allowed"]) == ("seconds", "60")


def test_an_invocation_without_a_deadline_does_not_end() -> None:
    assert deadline(agent(Limits()), 0, None, 2**62) is None
