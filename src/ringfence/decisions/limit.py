"""Counted limits of an invocation and everything below it: calls, sub-agents, depth, time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC

from ringfence.decisions import reason
from ringfence.decisions.reservation import Count, Demand, Shortfall
from ringfence.domain.agent import Agent
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit
from ringfence.domain.money import Money
from ringfence.domain.organisation import User
from ringfence.domain.verdict import Deny, Reason, Throttle

UNLIMITED = 2**53
"""What is counted without a limit: so that one that comes with a reload finds it counted."""

_SECOND_US = 1_000_000


@dataclass(slots=True)
class TreeCounts:
    """How many sub-agents there are in a root invocation and below it, and what it has read.

    `seen` are the labels of results that anybody in it was given; `doubts` say of an action that
    what must be so after it is not.
    """

    sub_agents: int = 0
    alive: int = 0
    seen: frozenset[str] = frozenset()
    doubts: dict[str, str] = field(default_factory=dict)

    def mark(self, seen: Iterable[str], doubts: Mapping[str, str], *, is_cleared: bool) -> None:
        """Take what was noticed of the tree; labels only grow."""
        self.seen = self.seen.union(seen)
        if is_cleared:
            self.doubts.clear()
        self.doubts.update(doubts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What every call of one tree counts against, whoever makes it; for one epoch."""

    calls: tuple[Count, ...]
    """One each: of the tree's model calls, and of the user's in this minute."""
    tokens: Demand | None
    tool_calls: tuple[Count, ...] = ()
    """One each: of the tree's tool calls, and of the user's in this minute."""
    of_tools: dict[str, tuple[Count, ...]] = field(default_factory=dict)
    """The same with those of one tool (`server__tool`), once it has been called."""
    commands: tuple[Count, ...] = ()
    """One, of the tree's commands."""
    requests: tuple[Count, ...] = ()
    """One each: of the tree's requests through egress, and of the user's in this minute."""
    http_bytes: Demand | None = None
    whole_requests: tuple[Count, ...] = ()
    """Those of a request, with all the bytes that one may move."""

    def of(self, tokens: int) -> tuple[Count, ...]:
        """The counts of a call that can use so many tokens."""
        if self.tokens is None:
            return self.calls
        return (*self.calls, Count(self.tokens, tokens))


NOTHING_COUNTED = Counted(calls=(), tokens=None)


def counted(organisation: str, root: str, agent: Agent, user: User | None = None) -> Counted:
    """What a tree's calls count against. `agent` is at the root: its limits hold for all of it."""
    limits = agent.limits
    per_minute: tuple[Count, ...] = ()
    if user is not None and user.calls_per_minute is not None:
        key = AccountKey(organisation, BudgetScope.USER, user.id, Per.TOTAL, Unit.CALLS_PER_MINUTE)
        per_minute = (Count(_demand(key, user.calls_per_minute), 1),)
    tokens = None
    if limits.tokens is not None:
        tokens = _demand(tokens_key(organisation, root), limits.tokens)
    model_calls = _demand(model_calls_key(organisation, root), limits.model_calls)
    tool_calls = _demand(tool_calls_key(organisation, root), limits.tool_calls)
    commands = _demand(call_key(organisation, root, Unit.COMMANDS), limits.commands)
    request = _demand(call_key(organisation, root, Unit.HTTP_REQUESTS), limits.http_requests)
    requests = (Count(request, 1), *per_minute)
    http_bytes = _demand(call_key(organisation, root, Unit.HTTP_BYTES), limits.http_bytes)
    return Counted(
        calls=(Count(model_calls, 1), *per_minute),
        tokens=tokens,
        tool_calls=(Count(tool_calls, 1), *per_minute),
        commands=(Count(commands, 1),),
        requests=requests,
        http_bytes=http_bytes,
        whole_requests=(*requests, Count(http_bytes, limits.http_call_bytes)),
    )


def of_tool(
    counted: Counted, organisation: str, root: str, agent: Agent, tool: str
) -> tuple[Count, ...]:
    """What a tree's calls of one tool count against; `agent` is at the root."""
    known = counted.of_tools.get(tool)
    if known is None:
        key = tool_calls_key(organisation, root, tool)
        one = Count(_demand(key, agent.limits.calls_per_tool), 1)
        known = counted.of_tools[tool] = (*counted.tool_calls, one)
    return known


def model_calls_key(organisation: str, root: str) -> AccountKey:
    """The account of a tree's model calls."""
    return AccountKey(organisation, BudgetScope.TREE, root, Per.TREE, Unit.MODEL_CALLS)


def tool_calls_key(organisation: str, root: str, tool: str = "") -> AccountKey:
    """The account of a tree's tool calls, or of those of one tool (`server__tool`)."""
    return call_key(organisation, root, Unit.TOOL_CALLS, tool)


def call_key(organisation: str, root: str, unit: Unit, part: str = "") -> AccountKey:
    """The account of a tree's actions of one kind, or of those of one tool or host."""
    return AccountKey(organisation, BudgetScope.TREE, root, Per.TREE, unit, part)


def tokens_key(organisation: str, root: str) -> AccountKey:
    """The account of the tokens that a tree's calls use."""
    return AccountKey(organisation, BudgetScope.TREE, root, Per.TREE, Unit.TOKENS)


def used_up(agent: Agent, user: User | None, shortfall: Shortfall, now_us: int) -> Deny | Throttle:
    """The verdict on a call for which too little is left of a counted limit."""
    line = shortfall.line
    if line.key.unit is Unit.CALLS_PER_MINUTE:
        frees_us = line.window.end_us
        wait_s = 1.0 if frees_us is None else max(0, frees_us - now_us) / _SECOND_US
        name = (user.name or user.id) if user is not None else line.key.holder
        words = f"user {reason.quoted(name)} may make {line.limit} calls per minute"
        return Throttle(reason=reason.rate(agent, words, wait_s), retry_after_s=wait_s)
    if line.key.unit is Unit.TOKENS:
        words = (
            f"use {line.limit} tokens per invocation; {max(0, line.left)} are left, and this call "
            f"could use {shortfall.needed}"
        )
        return Deny(reason=reason.limit(agent, "tokens", line.limit, words))
    if line.key.unit is Unit.TOOL_CALLS:
        return Deny(reason=_tool_calls(agent, line.key.part, line.limit))
    name, words = _WORDS.get(line.key.unit, _WORDS[Unit.MODEL_CALLS])
    told = words.format(limit=line.limit, left=max(0, line.left))
    return Deny(reason=reason.limit(agent, name, line.limit, told))


_WORDS: Mapping[Unit, tuple[str, str]] = {
    Unit.MODEL_CALLS: (
        "model_calls",
        "make {limit} model calls per invocation, and they are used up",
    ),
    Unit.COMMANDS: ("commands", "run {limit} commands per invocation, and they are used up"),
    Unit.HTTP_REQUESTS: (
        "http_requests",
        "make {limit} requests through egress per invocation, and they are used up",
    ),
    Unit.HTTP_BYTES: (
        "http_bytes",
        "send and receive {limit} bytes through egress per invocation; {left} are left",
    ),
}


def _tool_calls(agent: Agent, tool: str, allowed: int) -> Reason:
    if tool:
        words = f"call {reason.quoted(tool)} {allowed} times per invocation, and that is used up"
        return reason.limit(agent, "calls_per_tool", allowed, words)
    words = f"make {allowed} tool calls per invocation, and they are used up"
    return reason.limit(agent, "tool_calls", allowed, words)


def _demand(key: AccountKey, allowed: int | None) -> Demand:
    return Demand(key, Money(UNLIMITED if allowed is None else allowed), UTC)


def sub_agent(agent: Agent, counts: TreeCounts, depth: int) -> Reason | None:
    """Whether the tree may open an invocation at this depth (1 below the root); counts it if so.

    `agent` is the one at the root.
    """
    limits = agent.limits
    if depth > limits.depth:
        words = f"have sub-agents {limits.depth} deep, and this one would be {depth} deep"
        return reason.limit(agent, "depth", limits.depth, words)
    if counts.sub_agents >= limits.sub_agents:
        words = f"have {limits.sub_agents} sub-agents per invocation, and they are used up"
        return reason.limit(agent, "sub_agents", limits.sub_agents, words)
    alive = limits.sub_agents_alive
    if alive is not None and counts.alive >= alive:
        words = f"have {alive} sub-agents open at one time; finish one of them first"
        return reason.limit(agent, "sub_agents_alive", alive, words)
    counts.sub_agents += 1
    counts.alive += 1
    return None


def deadline_us(agent: Agent, opened_us: int, outer_us: int | None = None) -> int | None:
    """When an invocation must end: its own limit, but never after what it is part of."""
    seconds = agent.limits.seconds
    own_us = None if seconds is None else opened_us + seconds * _SECOND_US
    if own_us is None or outer_us is None:
        return outer_us if own_us is None else own_us
    return min(own_us, outer_us)


def deadline(agent: Agent, opened_us: int, ends_us: int | None, now_us: int) -> Reason | None:
    """Whether the time of an invocation is over."""
    if ends_us is None or now_us < ends_us:
        return None
    seconds = (ends_us - opened_us) // _SECOND_US
    return reason.limit(
        agent, "seconds", seconds, f"run for {seconds} seconds per invocation, and they are over"
    )
