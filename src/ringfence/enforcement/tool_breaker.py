"""The breakers of tools: of a server (can it be reached), a tool (does it answer), our credential.

They stand in the table of all breakers (`enforcement.breaker`), so that workers share them and
people see them in one place.
"""

from collections.abc import Mapping
from typing import final

from ringfence.decisions import reason
from ringfence.decisions.breaker import CREDENTIAL_RULE, Event, State
from ringfence.decisions.failure_rule import Failed
from ringfence.domain.agent import Agent
from ringfence.domain.model import BreakerRule, UpstreamKey, UpstreamKind
from ringfence.domain.tool import ToolKey
from ringfence.domain.tool_rule import ToolFailure
from ringfence.domain.verdict import Deny, Refused, Throttle
from ringfence.enforcement.breaker import Breakers
from ringfence.transport.clock import Clock

_RULE = BreakerRule()

_SERVER, _TOOL, _CREDENTIAL, _OWN = range(4)
_BLAMED: Mapping[ToolFailure, int] = {
    ToolFailure.AWAY: _SERVER,
    ToolFailure.TIMEOUT: _TOOL,
    ToolFailure.SERVER_ERROR: _TOOL,
    ToolFailure.MALFORMED: _TOOL,
    ToolFailure.UNAUTHORIZED: _CREDENTIAL,
    ToolFailure.FORBIDDEN: _OWN,
}
"""Which of them a failure speaks against; 404, 429 and an empty answer against none.

A 403 may be the request's, so it speaks against this agent's calls of this tool alone.
"""


@final
class ToolBreakers:
    """What the attempts of tool calls said, and what passes. Quick while nothing has failed."""

    def __init__(self, breakers: Breakers, clock: Clock) -> None:
        """Use this table."""
        self._breakers = breakers
        self._clock = clock

    def refusal(self, agent: Agent, organisation: str, key: ToolKey) -> Refused | None:
        """Why a call is not sent now; None if it may go, perhaps as a probe."""
        known = self._breakers.known
        if not known:
            return None
        now_us = self._clock.now_us()
        for at, upstream in enumerate(_keys(organisation, key, agent)):
            breaker = known.get(upstream)
            if breaker is None or breaker.passes(now_us):
                continue
            if at in _REFUSALS:
                name = key.server if at == _CREDENTIAL else key.merged
                why = reason.tool_refuses(agent, name, breaker.failures)
                return Deny(reason=why)
            wait_s = breaker.wait_s(now_us)
            name = key.server if at == _SERVER else key.merged
            why = reason.tool_away(name, breaker.cause, breaker.failures, wait_s)
            return Throttle(reason=why, retry_after_s=wait_s)
        return None

    def departed(self, agent: Agent, organisation: str, key: ToolKey) -> bool:
        """A call goes out; whether it is a probe."""
        is_probe = False
        for at, upstream in enumerate(_keys(organisation, key, agent)):
            breaker = self._breakers.known.get(upstream)
            if breaker is not None and breaker.state is State.OPEN:
                is_probe = True
                self._breakers.happen(upstream, Event.PROBE, _rule(at))
        return is_probe

    def answered(self, agent: Agent, organisation: str, key: ToolKey) -> None:
        """A usable answer came: nothing is held against anybody."""
        if self._breakers.known:
            for at, upstream in enumerate(_keys(organisation, key, agent)):
                if upstream in self._breakers.known:
                    self._breakers.happen(upstream, Event.SUCCESS, _rule(at))

    def failed(self, agent: Agent, organisation: str, key: ToolKey, failed: Failed) -> None:
        """An attempt brought no usable answer."""
        blamed = _BLAMED.get(failed.failure)
        if blamed is None:
            self.answered(agent, organisation, key)
            return
        for at, upstream in enumerate(_keys(organisation, key, agent)):
            if at == blamed:
                cause = failed.failure.value
                self._breakers.happen(upstream, Event.FAILURE, _rule(at), cause)
            elif upstream in self._breakers.known:
                is_reached = at == _SERVER
                event = Event.SUCCESS if is_reached else Event.LAPSE
                self._breakers.happen(upstream, event, _rule(at))

    def lapsed(self, agent: Agent, organisation: str, key: ToolKey) -> None:
        """A probe ended without telling anything."""
        for at, upstream in enumerate(_keys(organisation, key, agent)):
            if upstream in self._breakers.known:
                self._breakers.happen(upstream, Event.LAPSE, _rule(at))


_REFUSALS = frozenset({_CREDENTIAL, _OWN})


def _keys(organisation: str, key: ToolKey, agent: Agent) -> tuple[UpstreamKey, ...]:
    credential = f"tool server {key.server}"
    return (
        UpstreamKey(organisation, UpstreamKind.TOOL, key.server),
        UpstreamKey(organisation, UpstreamKind.TOOL, key.merged),
        UpstreamKey(organisation, UpstreamKind.CREDENTIAL, credential),
        UpstreamKey(
            organisation, UpstreamKind.CREDENTIAL, f"{credential} for {key.name} by {agent.name}"
        ),
    )


def _rule(at: int) -> BreakerRule:
    return CREDENTIAL_RULE if at in _REFUSALS else _RULE
