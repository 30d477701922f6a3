"""Reasons of runs that go on without getting anywhere."""

from collections.abc import Iterable

from ringfence.decisions.reason.threshold import rate
from ringfence.decisions.reason.words import QUOTED_CHARACTERS, quoted, refusal
from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Code, Reason


def loop_hint(period: int, times: int, tools: Iterable[str]) -> str:
    """What a model is told whose calls go in a circle; `period` is 0 if there is no order in it."""
    return (
        f"{_repetition(period, times, tools)} Repeating this will not help. If something is still "
        "running, wait longer before asking again; else try another way, or say what is missing "
        "and stop."
    )


def loop_stopped(agent: Agent, period: int, times: int, tools: Iterable[str]) -> Reason:
    """An invocation that went on in a circle after it was told."""
    names = list(tools)
    return refusal(
        Code.LOOP_DETECTED,
        agent,
        f"{_repetition(period, times, names)} The run was told so, and is now over.",
        (
            ("loop", "same_calls" if period else "no_progress"),
            ("period", str(period)),
            ("times", str(times)),
            ("tools", ", ".join(names)[:QUOTED_CHARACTERS]),
        ),
    )


def retries_stopped(agent: Agent, times: int) -> Reason:
    """One request failed again and again, and was sent again and again."""
    return refusal(
        Code.LOOP_DETECTED,
        agent,
        f"the same request failed {times} times in a row. The run is now over.",
        (("loop", "retries"), ("times", str(times))),
    )


def retried_too_soon(agent: Agent, times: int, wait_s: float) -> Reason:
    """A request that has just failed several times comes again without a pause."""
    words = f"the same request of agent `{agent.name}` has just failed {times} times"
    return rate(agent, words, wait_s)


def _repetition(period: int, times: int, tools: Iterable[str]) -> str:
    names = ", ".join(quoted(name) for name in tools)
    if not period:
        return f"the last {times} rounds of tool calls ({names}) brought nothing new."
    if period == 1:
        return f"the same tool calls ({names}) have now given the same results {times} times."
    return (
        f"the same {period} rounds of tool calls ({names}) have now given the same results "
        f"{times} times."
    )
