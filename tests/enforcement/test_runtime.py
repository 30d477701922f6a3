"""An agent is one object for each kind of caller, which follows every change."""

import gc
from dataclasses import replace

import pytest
from tests.gateways.world import OWNER, agent, model, organisation, usd

from ringfence.domain.agent import AgentState, TierRule
from ringfence.domain.budget import Per
from ringfence.domain.caller import CallerTier
from ringfence.domain.organisation import Organisation, User
from ringfence.domain.user import Principal
from ringfence.enforcement.route import compile_routes
from ringfence.enforcement.runtime import AgentRuntime

API, BACKGROUND, SUBAGENT = CallerTier.API, CallerTier.BACKGROUND, CallerTier.SUBAGENT
ANN = Principal(id="user_ann", name="ann")


def acme(*models: str, background: tuple[str, ...] = ("small", "claude")) -> Organisation:
    """Ann may use these models; the agent's background calls have a rule of their own."""
    rule = TierRule(models=frozenset(background), budgets=(usd(1, Per.DAY),))
    plain = organisation(agents={"triage": agent(tiers={BACKGROUND: rule})})
    ann = User(name="ann", id="user_ann", models=frozenset(models))
    return replace(plain, users={**plain.users, "ann": ann})


def defined(config: Organisation) -> AgentRuntime:
    made = AgentRuntime(config, config.agents["triage"])
    define(made, config)
    return made


def define(runtime: AgentRuntime, config: Organisation) -> None:
    runtime.define(config, config.agents["triage"], compile_routes(config))


def test_the_same_kind_of_caller_gets_the_same_object() -> None:
    origin = defined(acme("small"))
    assert origin.used_by((API,)) is origin
    anns = origin.used_by((API,), ANN)
    assert anns is origin.used_by((API,), ANN)
    assert anns.used_by((API,)) is origin
    assert origin.used_by((BACKGROUND,)) is not origin
    assert anns.id == origin.id == "agt_triage"


def test_each_variant_has_the_routes_that_are_left() -> None:
    origin = defined(acme("small", "embed", "other"))
    assert set(origin.routes) == {"small", "claude", "flash", "embed"}
    assert set(origin.used_by((API,), ANN).routes) == {"small", "embed"}
    assert set(origin.used_by((BACKGROUND,)).routes) == {"small", "claude"}
    both = origin.used_by((BACKGROUND,), ANN)
    assert set(both.routes) == {"small"}
    assert set(both.as_sub_agent().routes) == {"small"}
    assert both.as_sub_agent().as_sub_agent() is both.as_sub_agent()


def test_a_fallback_that_the_user_may_not_use_is_none_for_them() -> None:
    config = acme("small")
    models = {**config.models, "small": model("small", fallback=("embed",))}
    origin = defined(replace(config, models=models))
    assert [leg.model.name for leg in origin.routes["small"].legs] == ["small", "embed"]
    anns = origin.used_by((API,), ANN).routes["small"]
    assert [leg.model.name for leg in anns.legs] == ["small"]


def test_a_new_epoch_reaches_every_variant_that_is_in_use() -> None:
    origin = defined(acme("small"))
    anns, background = origin.used_by((API,), ANN), origin.used_by((BACKGROUND,))
    define(origin, acme("claude", background=("flash",)))
    assert (set(anns.routes), set(background.routes)) == ({"claude"}, {"flash"})
    assert anns.agent.scope.models == {"claude"}


def test_state_is_that_of_the_agent() -> None:
    origin = defined(acme("small"))
    before = origin.used_by((API,), ANN)
    origin.state = AgentState.SUSPENDED
    after = origin.used_by((BACKGROUND,))
    assert [before.state, after.state] == [AgentState.SUSPENDED] * 2
    origin.state = AgentState.ACTIVE
    assert [before.state, after.state] == [AgentState.ACTIVE] * 2


def test_a_user_who_is_not_known_is_barred_whatever_the_agents_state() -> None:
    config = acme("small")
    origin = defined(config)
    anns = origin.used_by((API,), ANN)
    define(origin, replace(config, users={OWNER: config.users[OWNER]}))
    assert anns.is_barred
    assert (anns.state, set(anns.routes)) == (AgentState.RETIRED, set())
    origin.state = AgentState.ACTIVE
    assert anns.state is AgentState.RETIRED
    assert origin.state is AgentState.ACTIVE
    define(origin, config)
    assert (anns.is_barred, anns.state) == (False, AgentState.ACTIVE)


def test_variants_that_nobody_uses_are_forgotten() -> None:
    origin = defined(acme("small"))
    for number in range(100):
        origin.used_by((API,), Principal(id=f"user_{number}", name=""))
    gc.collect()
    assert len(origin.variants) == 0


@pytest.mark.parametrize("tools", [None, ("crm__get_*",)])
def test_tools_are_bounded_by_agent_and_user(tools: tuple[str, ...] | None) -> None:
    config = acme("small")
    ann = replace(config.users["ann"], tools=tools)
    origin = defined(replace(config, users={**config.users, "ann": ann}))
    assert origin.used_by((API,), ANN).tools == (origin.agent.scope.tools, tools)
    assert origin.tools == (origin.agent.scope.tools, None)
