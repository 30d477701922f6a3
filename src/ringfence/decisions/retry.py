"""Retries: one request that fails, and comes again, and fails again."""

import msgspec

from ringfence.decisions import reason
from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Stop, Throttle

FREE = 4
"""How many failures in a row cost no wait: the SDKs of OpenAI and Anthropic try three times, and a
framework around them adds tries of its own (`refusal_table.FRAMEWORK_TRIES`)."""
LONGEST_WAIT_S = 30.0

_SECOND_US = 1_000_000
_DOUBLED = 16
"""Doubling more often than this changes nothing any more."""


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """The request of an invocation that failed last, and how often it did so in a row.

    `fingerprint` stands for the bytes of its body; equal ones are equal requests. `may_pass`: it
    failed at its provider, so that waiting may help; what we refused is refused again at once.
    Times are microseconds of one monotonic clock.
    """

    fingerprint: int
    times: int
    last_us: int
    may_pass: bool


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker tells the others of a request: that it failed once more, or no more.

    INVARIANT: fingerprints mean the same in all workers of a plane, and times are of one clock.
    """

    invocation: str
    fingerprint: int
    began_us: int = 0
    failed_us: int = 0
    is_over: bool = False


def failed(
    before: Failing | None, fingerprint: int, began_us: int, now_us: int, *, may_pass: bool
) -> Failing:
    """One more failure, of a call that began at `began_us`.

    What had begun before the last failure was known is no retry: equal requests sent at once are a
    burst, and count once.
    """
    times = 1
    if before is not None and before.fingerprint == fingerprint:
        if began_us <= before.last_us:
            return before
        times = before.times + 1
    return Failing(fingerprint=fingerprint, times=times, last_us=now_us, may_pass=may_pass)


def decide(agent: Agent, failing: Failing, fingerprint: int, now_us: int) -> Stop | Throttle | None:
    """Whether a request may be sent that may be the one which keeps failing."""
    if fingerprint != failing.fingerprint:
        return None
    allowed = agent.loops.retries
    if allowed is None:
        return None
    if failing.times >= allowed:
        return Stop(reason=reason.retries_stopped(agent, failing.times))
    if not failing.may_pass:
        return None
    wait_s = wait_after(failing.times) - (now_us - failing.last_us) / _SECOND_US
    if wait_s <= 0:
        return None
    why = reason.retried_too_soon(agent, failing.times, wait_s)
    return Throttle(reason=why, retry_after_s=wait_s)


def wait_after(times: int) -> float:
    """How long to wait after so many failures, in seconds: nothing at first, then 1, 2, 4, 8."""
    return 0.0 if times < FREE else min(2.0 ** min(times - FREE, _DOUBLED), LONGEST_WAIT_S)
