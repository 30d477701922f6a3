"""Rates: how often something may happen within any sixty seconds."""

from collections import deque
from typing import final

from ringfence.decisions import reason
from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Throttle

WINDOW_US = 60_000_000


@final
class Rate:
    """A sliding minute, exact: it remembers each time, at most as many as the limit.

    Times are microseconds of one clock, which may be the monotonic one.
    """

    __slots__ = ("_times",)

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self._times: deque[int] = deque()

    def take(self, per_minute: int, now_us: int) -> float:
        """Count one if it is within the rate and give 0; else give the seconds to wait."""
        times = self._times
        while times and times[0] <= now_us - WINDOW_US:
            times.popleft()
        if len(times) < per_minute:
            times.append(now_us)
            return 0.0
        frees_us = times[len(times) - per_minute] if per_minute > 0 else now_us
        return (frees_us + WINDOW_US - now_us) / 1_000_000

    def is_idle(self, now_us: int) -> bool:
        """Whether forgetting this object changes nothing."""
        return not self._times or self._times[-1] <= now_us - WINDOW_US


def new_invocation(agent: Agent, rate: Rate, now_us: int) -> Throttle | None:
    """Whether the agent may open another root invocation now; counts it if so."""
    allowed = agent.limits.new_invocations_per_minute
    return _throttle(
        agent,
        rate.take(allowed, now_us),
        f"agent `{agent.name}` may open {allowed} invocations per minute",
    )


def _throttle(agent: Agent, wait_s: float, words: str) -> Throttle | None:
    if not wait_s:
        return None
    return Throttle(reason=reason.rate(agent, words, wait_s), retry_after_s=wait_s)
