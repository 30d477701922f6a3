"""Routes about agents: who they are, what they may do, and their state."""

import asyncio
from dataclasses import replace
from functools import partial

import msgspec

from ringfence.api import token
from ringfence.api.budget import BudgetView, of_holder
from ringfence.api.context import ChangeNote
from ringfence.api.route import ADMIN, VIEWER, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.decisions.agent import AgentChange, advance
from ringfence.domain.agent import AgentState, Category, Limits, SandboxTier, Scope
from ringfence.domain.organisation import Organisation
from ringfence.stores.state.agent import AgentRecord

_WHAT = {
    AgentChange.SUSPEND: "agent.suspended",
    AgentChange.RESUME: "agent.resumed",
    AgentChange.RETIRE: "agent.retired",
}


class AgentLine(msgspec.Struct, frozen=True, kw_only=True):
    """An agent in a listing. What only the file knows is empty once no file names the agent."""

    id: str
    name: str
    state: AgentState
    owner: str = ""
    team: str | None = None
    category: Category | None = None
    purpose: str = ""
    version: str = ""


class ScopeView(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent declares to use."""

    models: list[str]
    tools: list[str]
    hosts: list[str]
    commands: list[str]


class LimitsView(msgspec.Struct, frozen=True, kw_only=True):
    """Counted limits; null where there is none."""

    model_calls: int | None
    tool_calls: int | None
    calls_per_tool: int | None
    commands: int | None
    output_tokens: int | None
    tokens: int | None
    depth: int
    sub_agents: int
    sub_agents_alive: int | None
    seconds: int | None
    open_invocations: int
    new_invocations_per_minute: int


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one agent, without any secret."""

    agent: AgentLine
    state_changed_us: str
    state_changed_by: str
    scope: ScopeView | None
    limits: LimitsView | None
    escalate_to: str
    sandbox: SandboxTier | None
    """The least isolation that it may be run with."""
    budgets: list[BudgetView] | None
    """Null while the data plane is not running: nobody knows then what is left."""
    credentials: list[token.TokenView]


async def list_agents(call: Call[Paging, Nothing]) -> Page[AgentLine]:
    """Agents by name, also those that no file names any more."""
    records = await asyncio.to_thread(call.context.state.agents.list, call.organisation.id)
    rest = [record for record in records if record.name > call.query.after]
    shown = rest[: call.query.limit]
    return Page(
        items=[_line(call.organisation, record) for record in shown],
        next=shown[-1].name if len(rest) > len(shown) else None,
    )


async def show_agent(call: Call[Nothing, Nothing]) -> AgentView:
    """One agent with its limits, what is left of its budgets, and its latest credentials."""
    context, organisation = call.context, call.organisation
    record = await asyncio.to_thread(context.state.agents.named, organisation.id, call.path["name"])
    tokens = await asyncio.to_thread(context.state.tokens.list, organisation.id, record.id)
    now_us = context.clock.now_us()
    defined = organisation.agents.get(record.name)
    return AgentView(
        agent=_line(organisation, record),
        state_changed_us=str(record.changed_us),
        state_changed_by=record.changed_by,
        scope=None if defined is None else _scope(defined.scope),
        limits=None if defined is None else _limits(defined.limits),
        escalate_to="" if defined is None else defined.escalate_to or defined.owner,
        sandbox=None if defined is None else defined.sandbox,
        budgets=await of_holder(context, organisation, record.id),
        credentials=[token.view(each, now_us) for each in tokens],
    )


async def change_state(change: AgentChange, call: Call[Nothing, Nothing]) -> AgentLine:
    """Suspend, resume or retire; returns when every worker obeys."""
    context, organisation = call.context, call.organisation
    name = call.path["name"]
    before = await asyncio.to_thread(context.state.agents.named, organisation.id, name)
    note = ChangeNote(
        organisation=organisation.id,
        actor=call.person.actor,
        what=_WHAT[change],
        subject=before.id,
        detail={"name": name, "was": before.state},
    )
    is_news = advance(before.state, change) not in {None, before.state}
    # What gives power is recorded first; what takes it away does not wait for a record.
    if is_news and change is AgentChange.RESUME:
        await context.record(note)
    began_us = context.clock.monotonic_us()
    make = partial(context.state.agents.change, organisation.id, name, change)
    after = await asyncio.to_thread(
        partial(make, now_us=context.clock.now_us(), actor=call.person.actor)
    )
    await context.workers.agent_state_changed(organisation.id, after.id, after.state)
    if after.state is not AgentState.ACTIVE:
        await context.approvals.withdraw(lambda held: held.binding.agent == after.id)
    if is_news and change is not AgentChange.RESUME:
        took_us = context.clock.monotonic_us() - began_us
        # From the decision until no worker could answer this agent any more.
        detail = {**note.detail, "took_us": str(took_us)}
        await context.record(replace(note, detail=detail))
    return _line(organisation, after)


def _line(organisation: Organisation, record: AgentRecord) -> AgentLine:
    defined = organisation.agents.get(record.name)
    if defined is None:
        return AgentLine(id=record.id, name=record.name, state=record.state)
    return AgentLine(
        id=record.id,
        name=record.name,
        state=record.state,
        owner=defined.owner,
        team=defined.team,
        category=defined.category,
        purpose=defined.purpose,
        version=defined.version,
    )


def _scope(scope: Scope) -> ScopeView:
    return ScopeView(
        models=sorted(scope.models),
        tools=list(scope.tools),
        hosts=list(scope.hosts),
        commands=list(scope.commands),
    )


def _limits(limits: Limits) -> LimitsView:
    return msgspec.convert(limits, LimitsView, from_attributes=True)


def _state_route(change: AgentChange, summary: str) -> AnyRoute:
    return Route(
        method="POST",
        path=f"/agents/{{name}}/{change.value}",
        summary=summary,
        roles=ADMIN,
        query=Nothing,
        body=Nothing,
        answer=AgentLine,
        handler=partial(change_state, change),
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/agents",
        summary="List agents by name.",
        roles=VIEWER,
        query=Paging,
        body=Nothing,
        answer=Page[AgentLine],
        handler=list_agents,
    ),
    Route(
        method="GET",
        path="/agents/{name}",
        summary="Show an agent: scope, limits, what is left of its budgets, credentials.",
        roles=VIEWER,
        query=Nothing,
        body=Nothing,
        answer=AgentView,
        handler=show_agent,
    ),
    _state_route(AgentChange.SUSPEND, "Refuse everything an agent asks for until it is resumed."),
    _state_route(AgentChange.RESUME, "Admit a suspended agent again."),
    _state_route(AgentChange.RETIRE, "End an agent for good."),
)
