"""How an invocation begins: by a call, because an agent asks for it, or again after a restart."""

import msgspec

from ringfence.decisions import limit
from ringfence.decisions.clue import Clues
from ringfence.decisions.grouping import Open
from ringfence.domain.invocation import Grouping, Invocation
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.narrowing import (
    Narrowing,
    budget_of,
    commands_of,
    group_of,
    hosts_of,
    models_of,
    tools_of,
)
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.protocols import headers

_SECOND_US = 1_000_000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent narrows a run, and the id that it gets."""

    id: str
    narrowing: Narrowing


def root(caller: Caller, found: Open, invocation: str, now_us: int) -> LiveInvocation:
    """A run that a call opens."""
    runtime = caller.runtime
    identity = Invocation(
        id=invocation,
        organisation=runtime.organisation.id,
        agent=runtime.id,
        root=invocation,
        parent=None,
        depth=0,
        credential=caller.credential,
        opened_us=now_us,
        grouping=found.grouping,
        external_id=found.external_id,
        deadline_us=limit.deadline_us(runtime.agent, now_us, caller.ends_us),
    )
    return LiveInvocation(identity, runtime, proof=caller.proof)


def declared(
    caller: Caller, parent: LiveInvocation | None, asked: Asked, now_us: int
) -> LiveInvocation:
    """A run that an agent asks for; with a parent, one of its sub-agents."""
    runtime = caller.runtime if parent is None else parent.runtime.as_sub_agent()
    identity = Invocation(
        id=asked.id,
        organisation=runtime.organisation.id,
        agent=runtime.id,
        root=asked.id if parent is None else parent.root,
        parent=None if parent is None else parent.id,
        depth=0 if parent is None else parent.identity.depth + 1,
        credential=caller.credential,
        opened_us=now_us,
        grouping=Grouping.TOKEN,
        deadline_us=_deadline_us(caller, runtime, parent, asked.narrowing, now_us),
    )
    return LiveInvocation(
        identity,
        runtime,
        parent=parent,
        models=models_of(asked.narrowing, parent),
        tools=tools_of(asked.narrowing, parent),
        hosts=hosts_of(asked.narrowing, parent),
        commands=commands_of(asked.narrowing, parent),
        narrowed=budget_of(asked.narrowing),
        proof=caller.proof if parent is None else parent.proof,
    )


def revived(
    identity: Invocation,
    runtime: AgentRuntime,
    parent: LiveInvocation | None,
    narrowing: Narrowing,
    last_us: int,
) -> LiveInvocation:
    """A run that was opened elsewhere or before, and is on the record."""
    live = LiveInvocation(
        identity,
        runtime,
        parent=parent,
        models=models_of(narrowing, parent),
        tools=tools_of(narrowing, parent),
        hosts=hosts_of(narrowing, parent),
        commands=commands_of(narrowing, parent),
        narrowed=budget_of(narrowing),
        proof=narrowing.proof,
    )
    live.is_recorded = True
    live.last_us = last_us
    return live


def _deadline_us(
    caller: Caller,
    runtime: AgentRuntime,
    parent: LiveInvocation | None,
    narrowing: Narrowing,
    now_us: int,
) -> int | None:
    """The earliest of what the agent, the proof, the parent and the request itself allow."""
    outer_us = caller.ends_us if parent is None else parent.identity.deadline_us
    deadline_us = limit.deadline_us(runtime.agent, now_us, outer_us)
    if narrowing.seconds is None:
        return deadline_us
    own_us = now_us + narrowing.seconds * _SECOND_US
    return own_us if deadline_us is None else min(own_us, deadline_us)


def clues_of(
    caller: Caller,
    hints: tuple[tuple[str, str], ...],
    messages: tuple[bytes, ...] = (),
    *,
    is_tool: bool = False,
) -> Clues:
    """What a call shows of the run that it belongs to."""
    header = trace = client = ""
    for source, value in hints:
        match headers.grouping(source):
            case Grouping.HEADER:
                header = header or value
            case Grouping.TRACEPARENT:
                trace = trace or value
            case _:
                client = client or value
    return Clues(
        credential=group_of(caller.credential, caller.runtime.principal),
        invocation=caller.invocation or "",
        header=header,
        trace=trace,
        client=client,
        messages=messages,
        is_tool=is_tool,
    )
