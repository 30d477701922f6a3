"""Agents: who owns them, what they may use and how far they may go."""

import re
from collections.abc import Mapping
from dataclasses import replace

from ringfence.config.definition import budget
from ringfence.config.definition.address import read_commands, read_hosts
from ringfence.config.definition.limit import read_limits
from ringfence.config.definition.loop import read_loops
from ringfence.config.definition.sandbox import read_sandbox
from ringfence.config.definition.secret_use import read_use
from ringfence.config.definition.tier import read_tiers
from ringfence.config.definition.tool import read_patterns
from ringfence.config.definition.topic import read_topics
from ringfence.config.section import Section
from ringfence.domain.agent import (
    CATEGORY_DEFAULTS,
    Agent,
    Autonomy,
    Category,
    DeclaredTools,
    InvocationRule,
    Scope,
    StoreFailure,
)

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_PURPOSE = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]{1,2000}")


def read_agents(root: Section) -> dict[str, Agent]:
    """Read `agents`."""
    return {name: _read(name, section, root) for name, section in root.named("agents", "agent")}


def _read(name: str, section: Section, root: Section) -> Agent:
    users = root.names("users")
    section.require("owner")
    owner = _read_declared(section, "owner", "user", users) or ""
    category = section.word("category", Category.BOUNDED)
    tier, sandbox_rules = read_sandbox(section)
    scope = _read_scope(section, root)
    agent = Agent(
        name=name,
        owner=owner,
        team=_read_declared(section, "team", "team", root.names("teams")),
        category=category,
        purpose=section.text("purpose", pattern=_PURPOSE, rule="at most 2000 characters").strip(),
        version=section.text("version", "1", pattern=_VERSION),
        scope=scope,
        limits=read_limits(section, CATEGORY_DEFAULTS[category]),
        loops=read_loops(section),
        budgets=budget.read(section, ("agent", name)),
        autonomy=section.word("autonomy", Autonomy.ASK_IRREVERSIBLE),
        sandbox=tier,
        sandbox_rules=sandbox_rules,
        on_store_failure=section.word("on_store_failure", StoreFailure.CLOSED),
        invocations=section.word("invocations", InvocationRule.OPEN),
        provider_storage=section.text("provider_storage") or None,
        secrets=read_use(section, root.names("secrets")),
        declared_tools=section.word("declared_tools", DeclaredTools.OBSERVE),
        escalate_to=_read_declared(section, "escalate_to", "user", users) or owner,
        topics=read_topics(section, scope.models),
    )
    agent = replace(agent, tiers=read_tiers(section, agent))
    section.close()
    return agent


def _read_declared(
    section: Section, key: str, noun: str, declared: Mapping[str, object]
) -> str | None:
    item = section.item(key)
    return item.value if item and section.reference(item, noun, declared) else None


def _read_scope(section: Section, root: Section) -> Scope:
    models = root.names("models")
    named = section.distinct("models")
    return Scope(
        models=frozenset(item.value for item in named if section.reference(item, "model", models)),
        tools=read_patterns(section, root.names("tools")),
        hosts=read_hosts(section, "hosts"),
        commands=read_commands(section, "commands"),
    )
