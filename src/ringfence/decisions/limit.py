"""Counted limits of an invocation and everything below it: calls, sub-agents, depth, time."""

from dataclasses import dataclass

from ringfence.decisions import reason
from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Reason

_SECOND_US = 1_000_000


@dataclass(slots=True)
class TreeCounts:
    """What has happened in a root invocation and below it; one object for the whole tree."""

    model_calls: int = 0
    sub_agents: int = 0


def model_call(agent: Agent, counts: TreeCounts) -> Reason | None:
    """Whether the tree may make another model call; counts it if so.

    `agent` is the one at the root: its limits hold for the whole tree.
    """
    allowed = agent.limits.model_calls
    if allowed is not None and counts.model_calls >= allowed:
        words = f"make {allowed} model calls per invocation, and they are used up"
        return reason.limit(agent, "model_calls", allowed, words)
    counts.model_calls += 1
    return None


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
    counts.sub_agents += 1
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
