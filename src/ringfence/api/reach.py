"""The route about an agent's reach: everything that it can do, and what of that it has used."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial

import msgspec

from ringfence.analysis.reach import ASK, DENY, OPEN, SOMETIMES, Reach, Right, reach
from ringfence.api.context import ControlContext
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Route
from ringfence.decisions.destination import host_pattern, matches_any
from ringfence.decisions.failure_rule import labels_of
from ringfence.decisions.permission import HOSTED
from ringfence.decisions.policy.compilation import compile_policies
from ringfence.decisions.policy.entity import server_of, tier_in
from ringfence.decisions.policy.policy_set import PolicySet
from ringfence.decisions.rights import within
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Agent
from ringfence.domain.caller import CallerTier
from ringfence.domain.destination import DEFAULT_PORTS, Destination
from ringfence.domain.error import PeerError, UsageError
from ringfence.domain.event import Intent
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import PolicyVerdict, Question, ToolFacts
from ringfence.domain.secret import parted
from ringfence.protocols.host_name import read_authority
from ringfence.stores.ledger.query import Filter

_DAY_US = 86_400_000_000
_USUAL_DAYS = 30
_Used = Mapping[tuple[str, str], int]
"""How often, by action kind and resource."""


class ReachQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Since when uses are counted, UTC microseconds; thirty days if it is left out."""

    since_us: int | None = None


class ReachView(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's reach; `unlisted` are its tool servers whose tools nobody has listed yet."""

    agent: str
    since_us: str
    reach: Reach
    unlisted: list[str]


async def show_reach(call: Call[ReachQuery, Nothing]) -> ReachView:
    """Everything that an agent's scope, tools and credentials come to."""
    context, organisation = call.context, call.organisation
    agent = organisation.agents.get(call.path["name"])
    if agent is None:
        raise UsageError("agent_unknown", f"no agent `{call.path['name']}` is defined")
    now_us = context.clock.now_us()
    usual_us = max(0, now_us - _USUAL_DAYS * _DAY_US)
    since_us = usual_us if call.query.since_us is None else call.query.since_us
    tools = context.tools.facts(organisation.id)
    used = await context.scan(
        organisation.id, partial(_used, context, organisation.id, agent.id, since_us)
    )
    found = await asyncio.to_thread(_reach, organisation, agent, tools, used, now_us)
    return ReachView(
        agent=agent.name,
        since_us=str(since_us),
        reach=found,
        unlisted=_unlisted(organisation, agent, tools),
    )


def _reach(
    organisation: Organisation,
    agent: Agent,
    tools: Mapping[str, ToolFacts],
    used: _Used,
    now_us: int,
) -> Reach:
    policies = compile_policies(organisation, tools)
    rights = [
        _right(organisation, agent, policies, used, kind, name, now_us)
        for kind, name in _resources(organisation, agent, tools)
    ]
    gate = DENY if policies.gates_hosted_tools(agent.name) else OPEN
    rights += _hosted(organisation, agent, gate)
    scope = agent.scope
    lines = [
        *(("models", name) for name in sorted(scope.models)),
        *(("tools", pattern) for pattern in scope.tools),
        *(("hosts", pattern) for pattern in scope.hosts),
        *(("commands", pattern) for pattern in scope.commands),
    ]
    return reach(agent.name, rights, lines)


def _resources(
    organisation: Organisation, agent: Agent, tools: Mapping[str, ToolFacts]
) -> Iterator[tuple[ActionKind, str]]:
    """Everything in scope by name; hosts and commands as the patterns that they are."""
    scope = agent.scope
    yield from ((ActionKind.MODEL_CALL, each) for each in _models(organisation, agent))
    for name in sorted(tools):
        if server_of(name) in organisation.tools and within(name, [scope.tools]):
            yield ActionKind.TOOL_CALL, name
    yield from ((ActionKind.HTTP_REQUEST, each) for each in scope.hosts)
    yield from ((ActionKind.SHELL_EXEC, each) for each in scope.commands)


def _right(  # noqa: PLR0913, PLR0917 (a right has these parts)
    organisation: Organisation,
    agent: Agent,
    policies: PolicySet,
    used: _Used,
    kind: ActionKind,
    name: str,
    now_us: int,
) -> Right:
    tier = tier_in(organisation, kind, name)
    question = Question(
        organisation=organisation.id,
        agent=agent.name,
        team=agent.team,
        category=agent.category,
        caller_tier=CallerTier.API,
        chain=(agent.name,),
        user=None,
        action=kind,
        resource=host_pattern(name) if kind is ActionKind.HTTP_REQUEST else name,
        tier=tier,
        arguments=b"{}",
        seen=frozenset(),
        now_us=now_us,
    )
    decision, depends = policies.settled(question)
    server = organisation.tools.get(server_of(name)) if kind is ActionKind.TOOL_CALL else None
    labels = () if server is None else labels_of(server.rules, name.partition("__")[2])
    return Right(
        kind=kind,
        name=name,
        tier=tier.name.lower(),
        gate=_gate(decision.verdict, depends),
        by=depends if decision.verdict is PolicyVerdict.ALLOW else decision.policies,
        labels=tuple(sorted(labels)),
        uses=_uses(used, kind, name),
        credential=_credential(organisation, kind, name),
    )


def _gate(verdict: PolicyVerdict, depends: tuple[str, ...]) -> str:
    match verdict:
        case PolicyVerdict.DENY:
            return DENY
        case PolicyVerdict.ASK:
            return ASK
        case PolicyVerdict.ALLOW:
            return SOMETIMES if depends else OPEN


def _uses(used: _Used, kind: ActionKind, name: str) -> int:
    if kind is ActionKind.HTTP_REQUEST:
        done = (each for each in used.items() if each[0][0] == kind)
        return sum(count for (_, what), count in done if _is_at(what, name))
    if kind is ActionKind.SHELL_EXEC:  # a pattern, not a name
        done = (each for each in used.items() if each[0][0] == kind)
        return sum(count for (_, what), count in done if within(what, [(name,)]))
    return used.get((kind.value, name), 0)


def _is_at(resource: str, pattern: str) -> bool:
    """Whether `host:port`, as the record spells it, is what a pattern of hosts names."""
    try:
        named = read_authority(resource)
    except PeerError:
        return False
    port = named.port or 0
    schemes = [scheme for scheme, usual in DEFAULT_PORTS.items() if usual == port] or ["https"]
    to = Destination(scheme=schemes[0], host=named.host, port=port, is_address=named.is_address)
    return matches_any((pattern,), to)


def _credential(organisation: Organisation, kind: ActionKind, name: str) -> str:
    if kind is ActionKind.TOOL_CALL:
        server = organisation.tools.get(server_of(name))
        return "" if server is None else _shown(server.credential)
    if kind is ActionKind.MODEL_CALL and name in organisation.models:
        provider = organisation.providers.get(organisation.models[name].provider)
        return "" if provider is None else _shown(provider.credential)
    return ""


def _shown(credential: str | None) -> str:
    """A variable by its name, one of `secrets` as the configuration refers to it."""
    whose = parted(credential or "")
    return credential or "" if whose is None else f"secret:{whose[1]}"


def _models(organisation: Organisation, agent: Agent) -> list[str]:
    return sorted(agent.scope.models & organisation.models.keys())


def _hosted(organisation: Organisation, agent: Agent, gate: str) -> Iterator[Right]:
    """What providers run for the agent's models, out of our sight."""
    for model in _models(organisation, agent):
        for tool in sorted(organisation.models[model].hosted_tools):
            yield Right(
                kind=ActionKind.MODEL_CALL,
                name=f"{model}: {tool}",
                tier=HOSTED.name.lower(),
                gate=gate,
                labels=("untrusted",),
            )


def _used(context: ControlContext, organisation: str, agent: str, since_us: int) -> _Used:
    """What the agent has done since; blocks."""
    asked = Filter(organisation=organisation, agent=agent, kind="intent", since_us=since_us)
    counted: Counter[tuple[str, str]] = Counter()
    ledger = context.open_ledger()
    try:
        for stored in ledger.query(asked):
            event = stored.event
            if isinstance(event, Intent):
                counted[event.action_kind, event.resource] += 1
    finally:
        ledger.close()
    return counted


def _unlisted(
    organisation: Organisation, agent: Agent, tools: Mapping[str, ToolFacts]
) -> list[str]:
    listed = {server_of(name) for name in tools}
    declared = {server_of(pattern) for pattern in agent.scope.tools}
    return sorted(name for name in organisation.tools if name in declared - listed)


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/agents/{name}/reach",
        summary="Everything an agent can do, what of it it has used, and what is dangerous in it.",
        roles=VIEWER,
        query=ReachQuery,
        body=Nothing,
        answer=ReachView,
        handler=show_reach,
    ),
)
