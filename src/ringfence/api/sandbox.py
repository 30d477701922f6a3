"""Routes about sandboxes: granted to `ringfence run`, listed, and ended."""

import asyncio
import difflib
from pathlib import PurePosixPath
from typing import Annotated, Final

import msgspec

from ringfence.api.route import BUILDER, VIEWER, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.decisions import sandbox as rule
from ringfence.domain.agent import Agent, AgentState, SandboxTier
from ringfence.domain.error import UsageError
from ringfence.domain.sandbox import Neighbour, Sandbox, SandboxGrant, SandboxOrder

_PATH_CHARACTERS: Final = 4096

Word = Annotated[str, msgspec.Meta(max_length=131_072)]
"""One argument of a command; the kernel's own limit. Source: MAX_ARG_STRLEN in execve(2)."""


class RunOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command to be run as an agent. `tier` is the agent's own minimum if it is left out.

    `workspace` and `directory`, where the command begins, are absolute paths of this machine.
    """

    agent: str
    command: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1, max_length=4096)]
    workspace: str
    directory: str
    tier: SandboxTier | None = None
    is_interactive: bool = False
    seconds: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec reports as a wrong body."""
        for name, path in (("workspace", self.workspace), ("directory", self.directory)):
            if len(path) > _PATH_CHARACTERS or not PurePosixPath(path).is_absolute():
                raise ValueError(f"{name} must be an absolute path")


class SandboxView(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox that has not ended. `monitor_pid` is 0 until it has begun."""

    id: str
    agent: str
    """The agent's name."""
    invocation: str
    tier: SandboxTier
    started_us: str
    monitor_pid: int
    workspace: str
    ca_fingerprint: str
    policy: str


async def open_sandbox(call: Call[Nothing, RunOrder]) -> SandboxGrant:
    """Make everything of a sandbox that the plane keeps; its monitor has a minute to begin it.

    Raises UsageError `agent_unknown`, `agent_state`, `sandbox_tier`, `allow_list_empty`,
    `policy_invalid`, `sandbox_refused`; UnavailableError.
    """
    context, body = call.context, call.body
    agent = await _agent(call)
    tier = rule.tier(agent, body.tier)
    rule.check_reach(agent)
    wrong = await asyncio.to_thread(context.policy_trouble, call.organisation)
    if wrong:
        raise UsageError(
            "policy_invalid",
            f"the policies in force do not fit: {wrong}",
            help="see `ringfence policy check`, then `ringfence reload`",
        )
    grant = await context.workers.open_sandbox(
        SandboxOrder(
            organisation=call.organisation.id,
            agent=agent.id,
            tier=tier,
            command=body.command,
            workspace=body.workspace,
            directory=body.directory,
            actor=call.person.actor,
            is_interactive=body.is_interactive,
            seconds=body.seconds,
        )
    )
    return msgspec.structs.replace(
        grant,
        neighbours=await _neighbours(call, grant, agent),
        kept=tuple(context.own_files(call.organisation)),
    )


async def _neighbours(
    call: Call[Nothing, RunOrder], grant: SandboxGrant, agent: Agent
) -> tuple[Neighbour, ...]:
    """Who is at work in the same folders; of two that begin at once, one at least sees the other.

    Those of other organisations are not told of (I7).
    """
    agents = {each.id: each for each in call.organisation.agents.values()}
    own = _folders(call.body.workspace, agent)
    found = await call.context.workers.sandboxes(call.organisation.id)
    near = [
        Neighbour(
            sandbox=each.id,
            agent=agents[each.agent].name if each.agent in agents else each.agent,
            folder=rule.shared_folder(own, _folders(each.workspace, agents.get(each.agent))),
            started_us=each.started_us,
        )
        for each in found
        if each.id != grant.id
    ]
    return tuple(each for each in near if each.folder)


def _folders(workspace: str, agent: Agent | None) -> tuple[str, ...]:
    """What an agent may change where it is run in this workspace."""
    return (workspace, *(agent.sandbox_rules.read_write if agent is not None else ()))


async def list_sandboxes(call: Call[Paging, Nothing]) -> Page[SandboxView]:
    """Every sandbox that has been granted and has not ended, the oldest first."""
    names = {each.id: each.name for each in call.organisation.agents.values()}
    found = await call.context.workers.sandboxes(call.organisation.id)
    rest = sorted((each for each in found if each.id > call.query.after), key=lambda each: each.id)
    shown = rest[: call.query.limit]
    return Page(
        items=[_view(each, names.get(each.agent, each.agent)) for each in shown],
        next=shown[-1].id if len(rest) > len(shown) else None,
    )


async def stop_sandbox(call: Call[Nothing, Nothing]) -> None:
    """End a sandbox; it has no network and no process any more when this returns."""
    name = call.path["id"]
    message = f"it was ended by {call.person.actor}"
    if not await call.context.workers.end_sandbox(call.organisation.id, name, message):
        raise UsageError("sandbox_unknown", f"no sandbox `{name}` is running")


async def _agent(call: Call[Nothing, RunOrder]) -> Agent:
    name = call.body.agent
    try:
        record = await asyncio.to_thread(
            call.context.state.agents.named, call.organisation.id, name
        )
    except UsageError as error:
        close = difflib.get_close_matches(name, call.organisation.agents, n=1)
        if not close:
            raise
        help_ = f"did you mean `{close[0]}`? {error.help}"
        raise UsageError(error.code, error.message, help=help_) from error
    defined = call.organisation.agents.get(name)
    if record.state is not AgentState.ACTIVE or defined is None:
        raise _not_active(name, record.state)
    return defined


def _not_active(name: str, state: AgentState) -> UsageError:
    help_ = {
        AgentState.ACTIVE: "no file names it any more",
        AgentState.SUSPENDED: f"`ringfence agent resume {name}` lets it in again",
        AgentState.RETIRED: "that is for good; give another agent a name of its own",
    }[state]
    return UsageError("agent_state", f"agent `{name}` is {state.value}", help=help_)


def _view(sandbox: Sandbox, agent: str) -> SandboxView:
    return SandboxView(
        id=sandbox.id,
        agent=agent,
        invocation=sandbox.invocation,
        tier=sandbox.tier,
        started_us=str(sandbox.started_us),
        monitor_pid=sandbox.monitor_pid,
        workspace=sandbox.workspace,
        ca_fingerprint=sandbox.ca_fingerprint,
        policy=sandbox.policy,
    )


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="POST",
        path="/sandboxes",
        summary="Make a sandbox for a command of an agent; used by `ringfence run`.",
        roles=BUILDER,
        query=Nothing,
        body=RunOrder,
        answer=SandboxGrant,
        handler=open_sandbox,
    ),
    Route(
        method="GET",
        path="/sandboxes",
        summary="List the sandboxes that are running.",
        roles=VIEWER,
        query=Paging,
        body=Nothing,
        answer=Page[SandboxView],
        handler=list_sandboxes,
    ),
    Route(
        method="POST",
        path="/sandboxes/{id}/stop",
        summary="End a sandbox with everything in it.",
        roles=BUILDER,
        query=Nothing,
        body=Nothing,
        answer=None,
        handler=stop_sandbox,
    ),
)
