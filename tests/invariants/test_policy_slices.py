"""Slices and caches change nothing: each decision is what Cedar says of all policies and all facts.

The reference asks Cedar anew each time, with every policy of every agent and every fact of the
question, and applies what design note 025 says to its answer.
"""

import json
from dataclasses import replace
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from tests.decisions.policy.asking import NOON_US, REFUND, organisation, question, rules, tools

from ringfence.decisions.policy import engine
from ringfence.decisions.policy.argument import Unheld, Wanted, hold
from ringfence.decisions.policy.entity import entities_of, parties_of
from ringfence.decisions.policy.fact import TYPES, Surroundings, facts
from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.decisions.policy.rule import ARGUMENTS, bodies
from ringfence.decisions.policy.scope import SCOPE, compile_agent
from ringfence.decisions.policy.shape import shape_of
from ringfence.domain.agent import Autonomy, Scope
from ringfence.domain.caller import CallerTier
from ringfence.domain.policy import PolicyVerdict, Question
from ringfence.domain.tool import PermissionTier

_TEXT = """
@id("large") @ask("large") forbid (principal, action, resource == Tool::"crm__refund")
  when { context.arguments has amount && context.arguments.amount.greaterThan(decimal("10.0")) };
@id("order") forbid (principal, action == Action::"tool.call", resource == Tool::"crm__refund")
  when { context.arguments.order like "x*" };
@id("caller") forbid (principal in Team::"support", action, resource in Pattern::"crm__re*")
  when { context.caller == "background" && context.tier != "read" };
@id("seen") @ask("seen") forbid (principal is Agent, action, resource is Tool in Server::"crm")
  when { context.seen.contains("untrusted") };
@id("user") forbid (principal, action, resource == Tool::"crm__get")
  when { context has user && context.user == "eve" };
@id("night") forbid (principal == Agent::"triage", action, resource)
  when { context.time.hour < 6 } unless { context.tier == "read" };
@id("wide") permit (principal, action, resource);
@id("deep") forbid (principal, action, resource) when { context.depth > 2 };
@id("name") forbid (principal, action, resource is Tool)
  when { resource.name like "w*" && principal.category == "bounded" };
"""
_ACME = organisation()
_ACME = organisation(
    agents={
        **_ACME.agents,
        "other": replace(
            _ACME.agents["triage"],
            name="other",
            team=None,
            autonomy=Autonomy.ASK_ALWAYS,
            scope=Scope(tools=("crm__get", "mail__*")),
        ),
    }
)
_RULES = rules(_TEXT)
_TOOLS = tools(crm__refund=REFUND, crm__get={}, crm__wipe={}, mail__send={})
_SHAPE = shape_of(json.dumps(REFUND).encode())
_WHOLE = PolicySet(_ACME, _RULES, _TOOLS)

_questions = st.builds(
    lambda agent, resource, amount, order, **more: question(
        resource,
        json.dumps({"amount": amount, "order": order}),
        agent=agent,
        team=_ACME.agents[agent].team,
        **more,
    ),
    agent=st.sampled_from(["triage", "other"]),
    resource=st.sampled_from(["crm__refund", "crm__get", "crm__wipe", "mail__send", "files__x"]),
    amount=st.sampled_from([5, 10, 10.5, "5"]),
    order=st.sampled_from(["a", "xa"]),
    caller_tier=st.sampled_from(CallerTier),
    tier=st.sampled_from(PermissionTier),
    seen=st.frozensets(st.sampled_from(["untrusted", "pii"])),
    user=st.sampled_from([None, "eve", "ann"]),
    chain=st.sampled_from([("triage",), ("eve", "a", "triage")]),
    now_us=st.sampled_from([NOON_US, NOON_US - 8 * 3_600_000_000]),
)


def _reference(asked: Question) -> PolicyVerdict:
    every = [*compile_agent(_ACME.agents["triage"]), *compile_agent(_ACME.agents["other"]), *_RULES]
    agent = _ACME.agents[asked.agent]
    patterns = {pattern for rule in every for pattern in rule.patterns}
    parties = parties_of(agent, asked, _ACME, patterns)
    context = facts(asked, Surroundings(zone=ZoneInfo("UTC")), [(name,) for name in TYPES])
    context[ARGUMENTS] = {}
    if asked.resource == "crm__refund":
        parts = Wanted({"amount": Wanted(), "order": Wanted()})
        try:
            context[ARGUMENTS] = hold(asked.arguments, _SHAPE, parts)
        except Unheld:
            return PolicyVerdict.DENY
    request = {
        "principal": engine.uid(parties.principal),
        "action": engine.uid(parties.action),
        "resource": engine.uid(parties.resource),
        "context": json.dumps(context),
    }
    entities = engine.compile_entities(entities_of(agent, parties, _ACME, ()))
    whole = engine.ask(engine.compile_rules(bodies(every)), entities, request)
    by_id = {rule.id: rule for rule in every}
    permits = engine.compile_rules(bodies([rule for rule in every if not rule.is_forbid]))
    allowed = engine.ask(permits, entities, request)
    in_scope = any(by_id[name].source == SCOPE for name in allowed.policies)
    if whole.problem or not in_scope:
        return PolicyVerdict.DENY
    if whole.is_allowed:
        return PolicyVerdict.ALLOW
    asks = all(by_id[name].ask is not None for name in whole.policies)
    return PolicyVerdict.ASK if whole.policies and asks else PolicyVerdict.DENY


@given(asked=_questions)
def test_a_decision_is_what_all_policies_say_of_all_facts(asked: Question) -> None:
    assert _WHOLE.decide(asked).verdict is _reference(asked)


@given(asked=_questions)
def test_what_is_not_listed_would_be_denied(asked: Question) -> None:
    if not _WHOLE.may_list(asked):
        assert _WHOLE.decide(asked).verdict is PolicyVerdict.DENY


@given(asked=_questions)
def test_what_always_holds_is_never_softened_by_conditions(asked: Question) -> None:
    settled, depends = _WHOLE.settled(asked)
    verdict = _WHOLE.decide(asked).verdict
    order = [PolicyVerdict.ALLOW, PolicyVerdict.ASK, PolicyVerdict.DENY]
    assert order.index(verdict) >= order.index(settled.verdict)
    if not depends:
        assert verdict is settled.verdict
