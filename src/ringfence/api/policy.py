"""Routes about policies: which are in force, what they say of a call, what others would change."""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Literal

import msgspec

from ringfence.api.context import ControlContext
from ringfence.api.policy_record import calls_since
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.decisions.policy.compilation import compile_policies
from ringfence.decisions.policy.entity import kind_of, tier_in
from ringfence.decisions.policy.replay import replay
from ringfence.decisions.policy.rule import Rule
from ringfence.decisions.policy.source import read_source
from ringfence.decisions.policy.validation import validate
from ringfence.domain.action import ActionKind
from ringfence.domain.caller import CallerTier
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import PolicyDecision, PolicyVerdict, Question, ToolFacts
from ringfence.domain.tool import PermissionTier

TierName = Literal["read", "write", "consequential", "irreversible"]


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """One policy. `source` is its file, or `scope` or `autonomy`; `line` is 0 for these."""

    id: str
    source: str
    line: int
    effect: Literal["permit", "forbid"]
    ask: str | None
    reason: str
    text: str


class PoliciesView(msgspec.Struct, frozen=True, kw_only=True):
    """The policies of files that are in force; `unchecked` are those whose tools nobody listed."""

    digest: str
    folder: str
    policies: list[PolicyView]
    unchecked: list[str]


class ToolFactsView(msgspec.Struct, frozen=True, kw_only=True):
    """What policies know of a tool: the JSON Schema of its arguments, as text."""

    name: str
    input_schema: str


class ExplainQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call to explain. What is left out is as in an ordinary call of this moment.

    `action` is found from the name of the resource if it is left out; `arguments` are JSON; `seen`
    are labels with commas between them.
    """

    agent: str
    resource: str
    action: ActionKind | None = None
    arguments: str = "{}"
    tier: TierName | None = None
    caller: CallerTier = CallerTier.API
    user: str | None = None
    seen: str = ""
    at_us: int | None = None


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that can matter to a call, and whether it is among those that decided."""

    policy: PolicyView
    decided: bool


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What the policies in force say of a call, and why."""

    action: ActionKind
    resource: str
    tier: TierName
    verdict: PolicyVerdict
    reasons: list[str]
    problem: str
    considered: list[Considered]
    reads: list[str]
    """The facts that these policies look at."""


class ReplayQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Since when calls are decided again, UTC microseconds, and how many changes to show."""

    since_us: int
    limit: int = 200


class ChangedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded call that the files would decide otherwise."""

    action: str
    time_us: str
    agent: str
    kind: ActionKind
    resource: str
    was: PolicyVerdict
    would: PolicyVerdict
    policies: list[str]
    reasons: list[str]
    problem: str


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls were decided again with the policies that the files hold now.

    `unread` are calls whose arguments are not stored any more; they are left out.
    """

    decided: int
    unread: int
    changes: int
    changed: list[ChangedCall]


async def list_policies(call: Call[Nothing, Nothing]) -> PoliciesView:
    """The policies of files in force."""
    organisation = call.organisation
    tools = call.context.tools.facts(organisation.id)
    return await asyncio.to_thread(_listed, organisation, tools)


async def list_facts(call: Call[Paging, Nothing]) -> Page[ToolFactsView]:
    """What policies know of tools, by name."""
    facts = call.context.tools.facts(call.organisation.id)
    rest = sorted(name for name in facts if name > call.query.after)
    shown = rest[: call.query.limit]
    return Page(
        items=[
            ToolFactsView(
                name=name, input_schema=facts[name].input_schema.decode("utf-8", "replace")
            )
            for name in shown
        ],
        next=shown[-1] if len(rest) > len(shown) else None,
    )


async def explain(call: Call[ExplainQuery, Nothing]) -> Explained:
    """Decide a call and show which policies can matter to it."""
    organisation, query = call.organisation, call.query
    if query.agent not in organisation.agents:
        raise UsageError("agent_unknown", f"no agent `{query.agent}` is defined")
    now_us = call.context.clock.now_us()
    question = _question(organisation, query, now_us)
    tools = call.context.tools.facts(organisation.id)
    return await asyncio.to_thread(_explained, organisation, question, tools)


async def replay_calls(call: Call[ReplayQuery, Nothing]) -> Replayed:
    """Decide recorded calls again with what the files hold now."""
    context = call.context
    proposed = await asyncio.to_thread(context.proposed)
    organisation = proposed.organisations.get(call.organisation.name)
    if organisation is None:
        raise UsageError("organisation_unknown", "no file defines this organisation any more")
    tools = context.tools.facts(call.organisation.id)
    return await context.scan(
        call.organisation.id,
        partial(_replayed, context, call.organisation.id, organisation, tools, call.query),
    )


def _listed(organisation: Organisation, tools: Mapping[str, ToolFacts]) -> PoliciesView:
    source = organisation.policies
    rules = read_source(source.files).rules if source is not None else ()
    return PoliciesView(
        digest=organisation.policy_digest,
        folder="" if source is None else source.folder,
        policies=[_view(rule) for rule in rules],
        unchecked=list(validate(rules, organisation, tools).unchecked),
    )


def _explained(
    organisation: Organisation, question: Question, tools: Mapping[str, ToolFacts]
) -> Explained:
    policies = compile_policies(organisation, tools)
    decision = policies.decide(question)
    cut = policies.slice_of(question)
    rules = () if cut is None else cut.rules
    reads = {path for rule in rules for path in rule.reads | rule.tests}
    return Explained(
        action=question.action,
        resource=question.resource,
        tier=_tier_name(question.tier),
        verdict=decision.verdict,
        reasons=list(decision.reasons),
        problem=decision.problem,
        considered=[_considered(rule, decision) for rule in rules],
        reads=sorted(".".join(path) for path in reads),
    )


def _replayed(
    context: ControlContext,
    organisation_id: str,
    organisation: Organisation,
    tools: Mapping[str, ToolFacts],
    query: ReplayQuery,
) -> Replayed:
    calls = calls_since(context, organisation_id, organisation, query.since_us)
    found = replay(compile_policies(organisation, tools), calls.recorded(), tools)
    return Replayed(
        decided=found.decided,
        unread=calls.unread,
        changes=len(found.changed),
        changed=[
            ChangedCall(
                action=each.recorded.action,
                time_us=str(each.recorded.question.now_us),
                agent=each.recorded.question.agent,
                kind=each.recorded.question.action,
                resource=each.recorded.question.resource,
                was=each.recorded.was,
                would=each.would.verdict,
                policies=list(each.would.policies),
                reasons=list(each.would.reasons),
                problem=each.would.problem,
            )
            for each in found.changed[: query.limit]
        ],
    )


def _question(organisation: Organisation, query: ExplainQuery, now_us: int) -> Question:
    agent = organisation.agents[query.agent]
    action = query.action or kind_of(organisation, query.resource)
    tier = None if query.tier is None else PermissionTier[query.tier.upper()]
    above = () if query.user is None else (query.user,)
    return Question(
        organisation=organisation.id,
        agent=agent.name,
        team=agent.team,
        category=agent.category,
        caller_tier=query.caller,
        chain=(*above, agent.name),
        user=query.user,
        action=action,
        resource=query.resource,
        tier=tier_in(organisation, action, query.resource) if tier is None else tier,
        arguments=query.arguments.encode(),
        seen=frozenset(filter(None, query.seen.split(","))),
        now_us=now_us if query.at_us is None else query.at_us,
    )


def _view(rule: Rule) -> PolicyView:
    return PolicyView(
        id=rule.id,
        source=rule.source,
        line=rule.line,
        effect="forbid" if rule.is_forbid else "permit",
        ask=rule.ask,
        reason=rule.reason,
        text=rule.text,
    )


def _considered(rule: Rule, decision: PolicyDecision) -> Considered:
    return Considered(policy=_view(rule), decided=rule.id in decision.policies)


def _tier_name(tier: PermissionTier) -> TierName:
    names: Iterable[TierName] = ("read", "write", "consequential", "irreversible")
    return list(names)[tier]


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/policies",
        summary="The policies of files that are in force.",
        roles=VIEWER,
        query=Nothing,
        body=Nothing,
        answer=PoliciesView,
        handler=list_policies,
    ),
    Route(
        method="GET",
        path="/policies/tools",
        summary="What policies know of tools: the arguments in force.",
        roles=VIEWER,
        query=Paging,
        body=Nothing,
        answer=Page[ToolFactsView],
        handler=list_facts,
    ),
    Route(
        method="GET",
        path="/policies/explain",
        summary="What the policies in force say of a call, and which of them decide.",
        roles=VIEWER,
        query=ExplainQuery,
        body=Nothing,
        answer=Explained,
        handler=explain,
    ),
    Route(
        method="GET",
        path="/policies/replay",
        summary="Which recorded calls the policies in the files would decide otherwise.",
        roles=VIEWER,
        query=ReplayQuery,
        body=Nothing,
        answer=Replayed,
        handler=replay_calls,
    ),
)
