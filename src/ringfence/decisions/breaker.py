"""Circuit breakers: what fails again and again is left alone for a while, then probed.

A breaker has the life in `TABLE`. While closed it counts failures in a row; a success forgets them.
Open, it lets nothing pass until its time is over; then one call is its probe.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from ringfence.domain.model import BreakerRule, UpstreamKind

LONGEST_S = 300.0
"""How long a breaker stays open at most between probes."""
CREDENTIAL_RULE = BreakerRule(failures=3, open_s=60.0)
"""For a provider's refusals of our credential: no retry mends it, and some providers lock an
account out after many."""

_SECOND_US = 1_000_000
_DOUBLED = 16
"""Doubling more often than this changes nothing any more."""
_SERVER_ERRORS = range(500, 600)
_UNKNOWN_CREDENTIAL = 401
_REFUSED_CREDENTIAL = frozenset({_UNKNOWN_CREDENTIAL, 403})
_CLOSED_UNASKED = "provider_unavailable"


class State(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Event(StrEnum):
    """What can happen to a breaker."""

    SUCCESS = "success"
    """A whole answer came."""
    ANSWER = "answer"
    """An answer began: enough for a probe, too little to forget earlier failures."""
    FAILURE = "failure"
    LAST_FAILURE = "last_failure"
    """The failure that makes it as many in a row as the rule allows."""
    PROBE = "probe"
    """Its time is over, and a call goes out to see."""
    LAPSE = "lapse"
    """The probe ended without telling anything, for example because the agent left."""


TABLE: Mapping[tuple[State, Event], State] = {
    (State.CLOSED, Event.SUCCESS): State.CLOSED,
    (State.CLOSED, Event.FAILURE): State.CLOSED,
    (State.CLOSED, Event.LAST_FAILURE): State.OPEN,
    (State.OPEN, Event.PROBE): State.HALF_OPEN,
    (State.HALF_OPEN, Event.SUCCESS): State.CLOSED,
    (State.HALF_OPEN, Event.ANSWER): State.CLOSED,
    (State.HALF_OPEN, Event.FAILURE): State.OPEN,
    (State.HALF_OPEN, Event.LAST_FAILURE): State.OPEN,
    (State.HALF_OPEN, Event.LAPSE): State.OPEN,
}
"""What is not in it changes nothing: calls that were on their way when a breaker opened end in all
manners, and say nothing of how things are now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One breaker. `until_us` is when a probe may go out, `opened` how often in a row it opened."""

    state: State = State.CLOSED
    failures: int = 0
    opened: int = 0
    until_us: int = 0
    cause: str = ""

    def passes(self, now_us: int) -> bool:
        """Whether a call may go out now, perhaps as the probe."""
        return self.state is State.CLOSED or (self.state is State.OPEN and now_us >= self.until_us)

    def wait_s(self, now_us: int) -> float:
        """After how long it is worth asking again."""
        return max(1.0, (self.until_us - now_us) / _SECOND_US)


def advance(  # noqa: PLR0911 (one return for each kind of change)
    breaker: Breaker, event: Event, now_us: int, rule: BreakerRule, cause: str = ""
) -> Breaker:
    """The breaker after an event. `cause` says in a few words what failed."""
    after = TABLE.get((breaker.state, event))
    match after, event:
        case None, _:
            return breaker
        case State.CLOSED, Event.FAILURE:
            return replace(breaker, failures=breaker.failures + 1, cause=cause)
        case State.CLOSED, Event.ANSWER:
            return replace(breaker, state=State.CLOSED, failures=(rule.failures or 1) - 1)
        case State.CLOSED, _:
            return Breaker()
        case State.OPEN, Event.LAPSE:
            return replace(breaker, state=State.OPEN, until_us=now_us)
        case State.OPEN, _:
            return _opened(breaker, now_us, rule, cause)
        case _:
            return replace(breaker, state=State.HALF_OPEN)


def _opened(breaker: Breaker, now_us: int, rule: BreakerRule, cause: str) -> Breaker:
    open_s = min(rule.open_s * 2 ** min(breaker.opened, _DOUBLED), LONGEST_S)
    return replace(
        breaker,
        state=State.OPEN,
        failures=breaker.failures + 1,
        opened=breaker.opened + 1,
        until_us=now_us + round(open_s * _SECOND_US),
        cause=cause,
    )


def failure(breaker: Breaker, rule: BreakerRule, times: int = 0) -> Event:
    """Which failure one more would be; `times` says how many there are, if they are not counted."""
    is_last = rule.failures is not None and (times or breaker.failures + 1) >= rule.failures
    return Event.LAST_FAILURE if is_last else Event.FAILURE


class Accusal(NamedTuple):
    """Who got a 403 for what; agent and model by name."""

    agent: str
    model: str


class Reach(StrEnum):
    """How far a refusal of our credential goes."""

    AGENT = "agent"
    """One agent with one model."""
    MODEL = "model"
    """Every agent with one model."""
    ALL = "all"
    """The credential, whatever it is shown for."""


def reaches(
    status: int, before: AbstractSet[Accusal], of_model: AbstractSet[Accusal], now: Accusal
) -> Mapping[Reach, int]:
    """What a refusal of our credential speaks against, and as which failure in a row of that.

    A 401 (RFC 9110, 15.5.2) is the credential's. A 403 (15.5.4) may be the request's: a model that
    the account may not use, or a text that the provider does not take. It speaks against one agent
    with one model; only what different agents meet speaks against the model for all of them, and
    only what they meet with different models against the credential. `before` are the 403s since
    the credential was last accepted, `of_model` those since it last was for this model; 0 stands
    for one failure more.
    """
    if status == _UNKNOWN_CREDENTIAL:
        return {Reach.ALL: 0}
    known, alike = {*before, now}, {*of_model, now}
    found = {Reach.AGENT: 0}
    if len(alike) > 1:
        found[Reach.MODEL] = len(alike)
    if min(len({each.agent for each in known}), len({each.model for each in known})) > 1:
        found[Reach.ALL] = len(known)
    return found


def signs(status: int, error: str, *, is_unsent: bool = False) -> Mapping[UpstreamKind, bool]:
    """What one attempt says of the three: true for good, false for bad, absent for nothing.

    `status` is 0 if no answer came; then `error` is the code of what went wrong, and `is_unsent`
    tells that it went wrong before anything was sent. A refusal of the request (4xx) shows that all
    is well but for the request; too many requests is a matter of pace.
    """
    if is_unsent or error == _CLOSED_UNASKED:
        return _CANNOT_BE_REACHED
    if error or status in _SERVER_ERRORS:
        return _DOES_NOT_ANSWER
    if status in _REFUSED_CREDENTIAL:
        return _REFUSES_US
    return _ALL_WELL


_CANNOT_BE_REACHED: Mapping[UpstreamKind, bool] = {UpstreamKind.PROVIDER: False}
_DOES_NOT_ANSWER: Mapping[UpstreamKind, bool] = {
    UpstreamKind.PROVIDER: True,
    UpstreamKind.MODEL: False,
}
_REFUSES_US: Mapping[UpstreamKind, bool] = {
    UpstreamKind.PROVIDER: True,
    UpstreamKind.CREDENTIAL: False,
}
_ALL_WELL: Mapping[UpstreamKind, bool] = {
    UpstreamKind.PROVIDER: True,
    UpstreamKind.MODEL: True,
    UpstreamKind.CREDENTIAL: True,
}
