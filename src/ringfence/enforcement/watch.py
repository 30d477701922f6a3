"""What is watched around a call besides its money: loops, retries, breakers and pace.

A call that has none of these to do with pays for a few looks at empty tables.
"""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from ringfence.decisions.breaker import Breaker, State
from ringfence.decisions.retry import Retried
from ringfence.domain.agent import Agent
from ringfence.domain.error import RingfenceError
from ringfence.domain.event import Status
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import UpstreamKey, UpstreamStanding
from ringfence.domain.organisation import Configuration
from ringfence.domain.pacing import Paused
from ringfence.domain.verdict import Refused, Throttle
from ringfence.enforcement.breaker import Breakers
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.lack import Lack, Lacking
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.loop import Hinted, Loops
from ringfence.enforcement.pacing import PacedLeg, PaceWire, Pacing, Places, paces_of
from ringfence.enforcement.refused_token import RefusedTokens, TokenRefused
from ringfence.enforcement.route import Leg, Route
from ringfence.enforcement.ticket import Ending, Ticket
from ringfence.protocols.rate_header import WAITING_STATUSES, asked_wait_s
from ringfence.transport.http import UpstreamResponse

_FAILURES = frozenset({Status.FAILED, Status.UPSTREAM_ERROR})
_UNAUTHORISED = 401
_TOO_MANY_REQUESTS = 429
_BROKE_OFF = frozenset(
    {"provider_unavailable", "provider_timeout", "provider_malformed", "stream_incomplete"}
)
_ANSWERS = range(200, 300)

Noticed = tuple[UpstreamKey, Breaker] | Paused | Retried | TokenRefused
"""What one worker has noticed and others act on, too."""


class LackingPlace(Lacking, frozen=True, kw_only=True):
    """A place at an upstream that a call must wait for; held by this process."""

    live: LiveInvocation
    leg: PacedLeg


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a route that breakers close, and the call's places in it."""

    route: Route
    places: Places | None


class Watch:
    """Everything that is watched by one worker."""

    def __init__(self, findings: FindingLog, wire: PaceWire | None = None) -> None:
        """Nothing has been noticed yet. `wire` is the way to lanes that several workers share."""
        self.loops = Loops(findings)
        self.breakers = Breakers(findings)
        self.pacing = Pacing(findings.clock, wire)
        self._clock = findings.clock
        self.tell: Callable[[Noticed], None] = lambda _noticed: None
        """Told what other workers must know; where there are none, nobody listens."""
        self.breakers.on_change = lambda key, breaker: self.tell((key, breaker))
        self.tokens = RefusedTokens(findings, self._refused)
        self.loops.on_failed = self._failed

    def _refused(self, refused: TokenRefused) -> None:
        self.tell(refused)

    def renewed(self) -> None:
        """Secrets are others now: nothing is held against what is sent with them."""
        self.breakers.reloaded()

    def reloaded(self, configuration: Configuration) -> None:
        """Take the paces of a new configuration; nothing is held against its credentials."""
        self.pacing.install(paces_of(configuration))
        self.breakers.reloaded()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is paced, paused or failing, so that `admit` need not be asked."""
        return not self.breakers.known and self.pacing.is_idle

    def look(self, live: LiveInvocation, request: ModelRequest) -> Hinted | Refused | None:
        """Whether the conversation goes in a circle, or the request only ever fails."""
        if live.failing is not None:
            refused = self.loops.retried(live, request)
            if refused is not None:
                return refused
        return self.loops.look(live, request) if request.tools else None

    def admit(
        self, agent: Agent, live: LiveInvocation, route: Route, held: Places | None
    ) -> Passage | LackingPlace | Refused:
        """Close what breakers close, and take a place where calls are paced.

        `held` are places that the call has waited for.
        """
        if self.breakers.known:
            usable = self.breakers.usable(agent, route)
            if not isinstance(usable, Route):
                return usable
            route = usable
        first = route.legs[0]
        if held is not None:
            if held.leg == first:
                return Passage(route=route, places=held)
            held.leave(was_sent=False)
        if self.pacing.is_idle:
            return Passage(route=route, places=None)
        places = self.pacing.enter(agent, first)
        if places is None:
            organisation = first.provider_key.organisation
            return LackingPlace(lack=Lack.PLACE, organisation=organisation, live=live, leg=first)
        return Passage(route=route, places=places)

    async def wait(self, agent: Agent, lacking: LackingPlace) -> Places | Throttle:
        """Wait for the place; bounded by the pace's `queue_seconds`. Raises UnavailableError."""
        return await self.pacing.wait(agent, lacking.leg)

    def standing(self, organisation: str) -> list[UpstreamStanding]:
        """Every upstream of an organisation that fails, is paced or was asked to be left alone."""
        return joined([self.breakers.standing(organisation), self.pacing.standing(organisation)])

    def move(self, ticket: Ticket, leg: Leg) -> "asyncio.Future[None] | None":
        """A call turns to another leg, whose places it takes; None if it has them at once.

        Raises UnsentError `rate_exceeded`, or has it in the future, if that one is busy.
        """
        if ticket.places is None and self.pacing.is_idle:
            return None
        if ticket.places is not None:
            ticket.places.leave()
        moved = self.pacing.move(ticket.caller.runtime.agent, leg)
        if isinstance(moved, Places):
            ticket.places = moved
            return None
        return asyncio.ensure_future(_moved(ticket, moved))

    def depart(self, ticket: Ticket, leg: Leg) -> bool:
        """A call is about to be sent to a leg; whether it is a breaker's probe.

        Raises UnsentError `circuit_open`.
        """
        agent = ticket.caller.runtime.agent
        return bool(self.breakers.known) and self.breakers.depart(agent, leg)

    def unanswered(
        self, ticket: Ticket, leg: Leg, error: RingfenceError, *, is_probe: bool
    ) -> None:
        """An attempt has failed without an answer."""
        self.breakers.failed(ticket.caller.runtime.agent, leg, error, is_probe=is_probe)

    def lapsed(self, ticket: Ticket, leg: Leg) -> None:
        """A probe was given up before it told anything."""
        self.breakers.lapsed(ticket.caller.runtime.agent, leg)

    def answered(
        self, ticket: Ticket, leg: Leg, upstream: UpstreamResponse, *, is_probe: bool
    ) -> None:
        """A provider has begun to answer: how it is, and how long it wants to be left alone."""
        agent = ticket.caller.runtime.agent
        self.breakers.answered(agent, leg, upstream.status, is_probe=is_probe)
        if upstream.status == _UNAUTHORISED and leg.provider.credential is not None:
            self.tokens.refused(leg.provider.credential, leg.provider.name)
        if upstream.status in WAITING_STATUSES or not self.pacing.is_idle:
            wait_s = asked_wait_s(upstream.status, upstream.headers, self._clock.now_us())
            if wait_s:
                self.tell(self.pacing.asked_to_wait(leg.model_key, wait_s))

    def refused(self, live: LiveInvocation, request: ModelRequest, verdict: Refused) -> None:
        """A call was refused. One that only has to wait has not failed."""
        if not isinstance(verdict, Throttle):
            self.loops.failed(live, request, self._clock.monotonic_us(), may_pass=False)

    def ended(self, ticket: Ticket, ending: Ending) -> None:
        """A call is over: its places are free, and how it ended is known."""
        if ticket.places is not None:
            ticket.places.leave()
        live = ticket.live
        if ending.status in _FAILURES and ending.http_status != _TOO_MANY_REQUESTS:
            self.loops.failed(live, ticket.request, ticket.started_us, may_pass=True)
        elif live.failing is not None:
            self.loops.succeeded(live)
        attempts = ending.attempts
        if attempts and attempts[-1].status in _ANSWERS:
            is_broken = ending.status is Status.FAILED and ending.error in _BROKE_OFF
            if is_broken or (self.breakers.known and ending.status is Status.OK):
                self.breakers.ended(ending.leg, ending.error if is_broken else "")

    def _failed(self, retried: Retried) -> None:
        self.tell(retried)


async def _moved(ticket: Ticket, moving: "asyncio.Task[Places]") -> None:
    places = await moving
    if ticket.is_open:
        ticket.places = places
    else:
        places.leave(was_sent=False)


def joined(parts: Iterable[Iterable[UpstreamStanding]]) -> list[UpstreamStanding]:
    """What several say, as one: the worst state of each upstream, and all of its calls."""
    found: dict[tuple[str, str], UpstreamStanding] = {}
    for each in (each for standings in parts for each in standings):
        key = (each.kind, each.name)
        known = found.get(key)
        if known is None:
            found[key] = each
            continue
        worst = max(known, each, key=lambda one: (one.state != State.CLOSED, one.failures))
        found[key] = msgspec.structs.replace(
            worst, going=known.going + each.going, waiting=known.waiting + each.waiting
        )
    return list(found.values())
