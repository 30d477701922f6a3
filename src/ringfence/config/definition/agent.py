"""Agents: who owns them, what they may use and how far they may go."""

import re
from collections.abc import Mapping

from ringfence.config.definition import budget
from ringfence.config.definition.address import read_commands, read_hosts
from ringfence.config.definition.tool import PATTERN
from ringfence.config.problem import nearest, shown
from ringfence.config.reading import Item
from ringfence.config.section import Section
from ringfence.domain.agent import (
    CATEGORY_DEFAULTS,
    Agent,
    Autonomy,
    Category,
    InvocationRule,
    Limits,
    SandboxTier,
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
    agent = Agent(
        name=name,
        owner=owner,
        team=_read_declared(section, "team", "team", root.names("teams")),
        category=category,
        purpose=section.text("purpose", pattern=_PURPOSE, rule="at most 2000 characters").strip(),
        version=section.text("version", "1", pattern=_VERSION),
        scope=_read_scope(section, root),
        limits=_read_limits(section, CATEGORY_DEFAULTS[category]),
        budgets=budget.read(section, ("agent", name)),
        autonomy=section.word("autonomy", Autonomy.ASK_IRREVERSIBLE),
        sandbox=section.word("sandbox", SandboxTier.STRICT),
        on_store_failure=section.word("on_store_failure", StoreFailure.CLOSED),
        invocations=section.word("invocations", InvocationRule.OPEN),
        provider_storage=section.text("provider_storage") or None,
        escalate_to=_read_declared(section, "escalate_to", "user", users) or owner,
    )
    section.not_enforced("tools", "hosts", "commands", "autonomy", "sandbox", "provider_storage")
    if agent.on_store_failure is StoreFailure.OPEN:
        section.not_enforced("on_store_failure")
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
    tools = section.distinct("tools")
    for item in tools:
        _judge_tool(item, section, root.names("tools"))
    return Scope(
        models=frozenset(item.value for item in named if section.reference(item, "model", models)),
        tools=tuple(item.value for item in tools),
        hosts=read_hosts(section, "hosts"),
        commands=read_commands(section, "commands"),
    )


def _judge_tool(item: Item, section: Section, servers: Mapping[str, object]) -> None:
    server, separator, pattern = item.value.partition("__")
    if not separator or not PATTERN.fullmatch(pattern):
        what = f"{shown(item.written)} in {section.where} is not a pattern of tools"
        section.problem(item.place, what, "write server__tool, for example crm__get_*")
    elif server not in servers:
        what = f"unknown tool server {shown(item.written.partition('__')[0])} in {section.where}"
        section.problem(item.place, what, nearest(item.written.partition("__")[0], servers))


def _read_limits(section: Section, default: Limits) -> Limits:
    inner = section.section("limits", f"`limits` of {section.where}")
    if inner is None:
        return default
    output_tokens = inner.limit("output_tokens", default.output_tokens)
    written = inner.whole("default_output_tokens", least=1)
    if written is not None and output_tokens is not None and written > output_tokens:
        what = f"`default_output_tokens` of {section.where} is above `output_tokens`"
        inner.problem(inner.at("default_output_tokens"), what, "lower it, or raise the cap")
    limits = Limits(
        model_calls=inner.limit("model_calls", default.model_calls),
        tool_calls=inner.limit("tool_calls", default.tool_calls),
        calls_per_tool=inner.limit("calls_per_tool", default.calls_per_tool),
        output_tokens=output_tokens,
        default_output_tokens=written or output_tokens or default.default_output_tokens,
        depth=_whole(inner, "depth", default.depth),
        sub_agents=_whole(inner, "sub_agents", default.sub_agents),
        seconds=inner.limit("seconds", default.seconds),
        open_invocations=_whole(inner, "open_invocations", default.open_invocations, 1),
        new_invocations_per_minute=_whole(
            inner, "new_invocations_per_minute", default.new_invocations_per_minute, 1
        ),
    )
    inner.not_enforced("tool_calls", "calls_per_tool")
    inner.close()
    return limits


def _whole(section: Section, key: str, default: int, least: int = 0) -> int:
    value = section.whole(key, default, least=least)
    return default if value is None else value
