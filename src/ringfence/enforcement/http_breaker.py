"""The breakers of hosts that are reached through egress, and of the secrets that are sent there.

They stand in the table of all breakers (`enforcement.breaker`), so that workers share them and
people see them in one place.
"""

from collections.abc import Sequence
from typing import Final, final

from ringfence.decisions import reason
from ringfence.decisions.breaker import CREDENTIAL_RULE, Event, State
from ringfence.domain.agent import Agent
from ringfence.domain.model import BreakerRule, UpstreamKey, UpstreamKind
from ringfence.domain.verdict import Deny, Refused, Throttle
from ringfence.enforcement.breaker import Breakers
from ringfence.transport.clock import Clock

_RULE: Final = BreakerRule()
_AWAY: Final = frozenset({502, 503, 504})
"""What stands before a server says these where the server does not answer."""
_REFUSES_US: Final = frozenset({401, 403})


@final
class HttpBreakers:
    """What requests to hosts said, and what passes. Quick while nothing has failed."""

    def __init__(self, breakers: Breakers, clock: Clock) -> None:
        """Use this table."""
        self._breakers = breakers
        self._clock = clock

    def refusal(
        self, agent: Agent, organisation: str, resource: str, secrets: Sequence[str]
    ) -> Refused | None:
        """Why a request is not sent now; None if it may go, perhaps as a probe."""
        known = self._breakers.known
        if not known:
            return None
        now_us = self._clock.now_us()
        for key in _keys(organisation, resource, secrets):
            breaker = known.get(key)
            if breaker is None or breaker.passes(now_us):
                continue
            if key.kind is UpstreamKind.CREDENTIAL:
                return Deny(reason=reason.host_refuses(agent, resource, breaker.failures))
            wait_s = breaker.wait_s(now_us)
            why = reason.host_away(resource, breaker.cause, breaker.failures, wait_s)
            return Throttle(reason=why, retry_after_s=wait_s)
        return None

    def departed(self, organisation: str, resource: str, secrets: Sequence[str]) -> bool:
        """A request goes out; whether it is a probe."""
        is_probe = False
        for key in _keys(organisation, resource, secrets):
            breaker = self._breakers.known.get(key)
            if breaker is not None and breaker.state is State.OPEN:
                is_probe = True
                self._breakers.happen(key, Event.PROBE, _rule(key))
        return is_probe

    def answered(
        self, organisation: str, resource: str, secrets: Sequence[str], status: int
    ) -> None:
        """An answer's head came."""
        is_bad = status in _AWAY or (status in _REFUSES_US and secrets)
        if not (is_bad or self._breakers.known):
            return
        for key in _keys(organisation, resource, secrets):
            blames = _REFUSES_US if key.kind is UpstreamKind.CREDENTIAL else _AWAY
            if status in blames:
                self._breakers.happen(key, Event.FAILURE, _rule(key), f"status {status}")
            elif key in self._breakers.known:
                self._breakers.happen(key, Event.SUCCESS, _rule(key))

    def failed(self, organisation: str, resource: str, secrets: Sequence[str], cause: str) -> None:
        """No answer came; says nothing of the secrets."""
        for key in _keys(organisation, resource, secrets):
            if key.kind is UpstreamKind.HOST:
                self._breakers.happen(key, Event.FAILURE, _rule(key), cause)
            elif key in self._breakers.known:
                self._breakers.happen(key, Event.LAPSE, _rule(key))

    def lapsed(self, organisation: str, resource: str, secrets: Sequence[str]) -> None:
        """A probe ended without telling anything."""
        for key in _keys(organisation, resource, secrets):
            if key in self._breakers.known:
                self._breakers.happen(key, Event.LAPSE, _rule(key))


def _keys(organisation: str, resource: str, secrets: Sequence[str]) -> list[UpstreamKey]:
    keys = [UpstreamKey(organisation, UpstreamKind.HOST, resource)]
    keys += [
        UpstreamKey(organisation, UpstreamKind.CREDENTIAL, f"secret {name} at {resource}")
        for name in secrets
    ]
    return keys


def _rule(key: UpstreamKey) -> BreakerRule:
    return CREDENTIAL_RULE if key.kind is UpstreamKind.CREDENTIAL else _RULE
