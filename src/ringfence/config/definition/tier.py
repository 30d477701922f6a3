"""Caller tiers of an agent: rules that hold for some of its calls, narrower than its own."""

from dataclasses import fields

from ringfence.config.definition import budget
from ringfence.config.definition.limit import read_limits
from ringfence.config.problem import nearest, shown
from ringfence.config.section import Section
from ringfence.domain.agent import Agent, Limits, TierRule
from ringfence.domain.caller import CallerTier


def read_tiers(section: Section, agent: Agent) -> dict[CallerTier, TierRule]:
    """Read `tiers`; whatever would be wider than the agent itself is a problem."""
    inner = section.section("tiers", f"`tiers` of {section.where}")
    if inner is None:
        return {}
    rules: dict[CallerTier, TierRule] = {}
    for tier in CallerTier:
        rule = inner.section(tier.value, f"tier `{tier.value}` of {section.where}")
        if rule is not None:
            rules[tier] = _read(rule, agent, tier)
    inner.close()
    return rules


def _read(section: Section, agent: Agent, tier: CallerTier) -> TierRule:
    limits = read_limits(section, agent.limits) if "limits" in section else None
    if limits is not None:
        _judge_limits(section, limits, agent.limits)
    rule = TierRule(
        models=_read_models(section, agent) if "models" in section else None,
        limits=limits,
        budgets=budget.read(section, ("agent", f"{agent.name}.{tier.value}")),
    )
    section.close()
    return rule


def _read_models(section: Section, agent: Agent) -> frozenset[str]:
    items = section.distinct("models")
    for item in items:
        if item.value not in agent.scope.models:
            what = f"{shown(item.written)} in {section.where} is not one of the agent's models"
            section.problem(item.place, what, nearest(item.written, agent.scope.models))
    return frozenset(item.value for item in items)


def _judge_limits(section: Section, own: Limits, wider: Limits) -> None:
    for each in fields(Limits):
        most, given = getattr(wider, each.name), getattr(own, each.name)
        if most is not None and (given is None or given > most):
            what = f"`{each.name}` of {section.where} is wider than the agent's"
            section.problem(section.at("limits"), what, f"at most {most}")
