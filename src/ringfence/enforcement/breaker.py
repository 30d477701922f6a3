"""The breakers of providers, models and our credentials: what an attempt said, and what passes.

Only what has failed has an entry, so that healthy traffic costs one look at an empty table.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ringfence.decisions import breaker as decisions
from ringfence.decisions import reason
from ringfence.decisions.breaker import CREDENTIAL_RULE, Accusal, Breaker, Event, Reach, State
from ringfence.domain.agent import Agent
from ringfence.domain.error import RingfenceError, UnsentError
from ringfence.domain.model import BreakerRule, UpstreamKey, UpstreamKind, UpstreamStanding
from ringfence.domain.verdict import Code, Deny, Refused, Throttle
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.route import Leg, Route

_CLOSED = Breaker()
_HOSTS_MOST = 4096
"""Hosts that are remembered for failing: agents may name any number of them."""


class Breakers:
    """Every breaker of one worker that is not simply closed."""

    def __init__(self, findings: FindingLog) -> None:
        """All is well."""
        self.known: dict[UpstreamKey, Breaker] = {}
        """Those with failures; look at it before asking anything, for it is mostly empty."""
        self._accusals: dict[UpstreamKey, set[Accusal]] = {}
        """Of each credential, and of it with each model: the 403s since it was last accepted."""
        self.on_change: Callable[[UpstreamKey, Breaker], None] = lambda _key, _breaker: None
        """Told of each that has opened or closed here."""
        self._findings = findings
        self._clock = findings.clock

    def usable(self, agent: Agent, route: Route) -> Route | Refused:
        """The route without the legs whose breakers are open, or why none is left.

        The price of the route stays that of all its legs.
        """
        now_us = self._clock.now_us()
        kept = tuple([leg for leg in route.legs if self._blocking(agent, leg, now_us) is None])
        if len(kept) == len(route.legs):
            return route
        if kept:
            return replace(route, legs=kept)
        return self._refusal(agent, route, now_us)

    def depart(self, agent: Agent, leg: Leg) -> bool:
        """A call is about to be sent; whether it is a probe.

        Raises UnsentError `circuit_open` if it may not go.
        """
        now_us = self._clock.now_us()
        blocking = self._blocking(agent, leg, now_us)
        if blocking is not None:
            key, breaker = blocking
            why = f"its {key.kind} is left alone after {breaker.cause}"
            raise UnsentError(Code.CIRCUIT_OPEN, why)
        is_probe = False
        for key in _keys(agent, leg):
            breaker = self.known.get(key, _CLOSED)
            if breaker.state is State.OPEN:
                is_probe = True
                self._take(key, breaker, Event.PROBE, now_us, _rule(key.kind, leg))
        return is_probe

    def answered(self, agent: Agent, leg: Leg, status: int, *, is_probe: bool = False) -> None:
        """An attempt has an answer's head."""
        signs = decisions.signs(status, "")
        if self.known or not all(signs.values()):
            failures = self._failures(agent, leg, signs, status)
            self._told(_Attempt(agent, leg, f"status {status}", is_probe), signs, failures)

    def failed(
        self, agent: Agent, leg: Leg, error: RingfenceError, *, is_probe: bool = False
    ) -> None:
        """An attempt has no answer."""
        signs = decisions.signs(0, error.code, is_unsent=isinstance(error, UnsentError))
        failures = self._failures(agent, leg, signs, 0)
        self._told(_Attempt(agent, leg, error.code, is_probe), signs, failures)

    def ended(self, leg: Leg, error: str) -> None:
        """An answer that had begun is whole, or broke off with the code `error`."""
        key = leg.model_key
        breaker = self.known.get(key, _CLOSED)
        if breaker.state is not State.CLOSED:
            return
        now_us = self._clock.now_us()
        if error:
            event = decisions.failure(breaker, leg.model.breaker)
            self._take(key, breaker, event, now_us, leg.model.breaker, error)
        elif key in self.known:
            self._take(key, breaker, Event.SUCCESS, now_us, leg.model.breaker)

    def happen(self, key: UpstreamKey, event: Event, rule: BreakerRule, cause: str = "") -> None:
        """Something has happened to a breaker that is no leg's; a failure may be its last."""
        before = self.known.get(key, _CLOSED)
        if event is Event.FAILURE:
            event = decisions.failure(before, rule)
        self._take(key, before, event, self._clock.now_us(), rule, cause)

    def lapsed(self, agent: Agent, leg: Leg) -> None:
        """A probe ended without an answer, for example because the agent left."""
        now_us = self._clock.now_us()
        for key in _keys(agent, leg):
            breaker = self.known.get(key, _CLOSED)
            self._take(key, breaker, Event.LAPSE, now_us, _rule(key.kind, leg))

    def reloaded(self) -> None:
        """The configuration and our credentials are new: nothing is known against them."""
        for key in [key for key in self.known if key.kind is UpstreamKind.CREDENTIAL]:
            del self.known[key]
        self._accusals.clear()

    def hear(self, key: UpstreamKey, breaker: Breaker) -> None:
        """One has opened or closed at another worker.

        Who has a probe under way waits for what that tells.
        """
        mine = self.known.get(key, _CLOSED)
        if mine.state is State.HALF_OPEN:
            return
        if breaker == _CLOSED:
            self.known.pop(key, None)
        elif breaker.state is State.CLOSED:
            if mine.state is State.OPEN:
                self._remember(key, breaker)
        elif mine.state is State.CLOSED or mine.until_us < breaker.until_us:
            self._remember(key, breaker)

    def _remember(self, key: UpstreamKey, breaker: Breaker) -> None:
        """Of too many hosts those are forgotten that say least: the longest ago, closed first."""
        if key not in self.known and len(self.known) >= _HOSTS_MOST:
            hosts = [each for each in self.known if each.kind is UpstreamKind.HOST]
            hosts.sort(key=lambda each: self.known[each].state is not State.CLOSED)
            for each in hosts[: len(hosts) // 2]:
                del self.known[each]
        self.known[key] = breaker

    def standing(self, organisation: str) -> list[UpstreamStanding]:
        """The breakers of an organisation that have something to tell."""
        now_us = self._clock.now_us()
        return [
            UpstreamStanding(
                kind=kind,
                name=name,
                state=breaker.state.value,
                failures=breaker.failures,
                retry_s=0.0 if breaker.passes(now_us) else breaker.wait_s(now_us),
                cause=breaker.cause,
            )
            for (owner, kind, name), breaker in self.known.items()
            if owner == organisation
        ]

    def _failures(
        self, agent: Agent, leg: Leg, signs: Mapping[UpstreamKind, bool], status: int
    ) -> Mapping[UpstreamKey, int]:
        """What a failed attempt speaks against; 0, or as which failure in a row of that."""
        failed = {
            key: 0 for key in (leg.provider_key, leg.model_key) if not signs.get(key.kind, True)
        }
        is_accepted = signs.get(UpstreamKind.CREDENTIAL)
        if is_accepted is None:
            return failed
        whole, of_model, own = _credential_keys(agent, leg)
        if is_accepted:
            for key in (whole, of_model):
                self._accusals.pop(key, None)
            return failed
        before, alike = (self._accusals.setdefault(key, set()) for key in (whole, of_model))
        now = Accusal(agent.name, leg.model.name)
        reached = decisions.reaches(status, before, alike, now)
        if Reach.AGENT in reached:
            before.add(now)
            alike.add(now)
        keys = {Reach.ALL: whole, Reach.MODEL: of_model, Reach.AGENT: own}
        return failed | {keys[reach]: times for reach, times in reached.items()}

    def _told(
        self,
        attempt: "_Attempt",
        signs: Mapping[UpstreamKind, bool],
        failures: Mapping[UpstreamKey, int],
    ) -> None:
        agent, leg, cause, is_probe = attempt
        now_us = self._clock.now_us()
        for key in _keys(agent, leg):
            breaker = self.known.get(key, _CLOSED)
            if breaker.state is State.HALF_OPEN and not is_probe:
                continue
            if key in failures:
                event = decisions.failure(breaker, _rule(key.kind, leg), failures[key])
                self._take(key, breaker, event, now_us, _rule(key.kind, leg), cause)
            elif not signs.get(key.kind, False):  # it says nothing of this one
                if breaker.state is State.HALF_OPEN:
                    self._take(key, breaker, Event.LAPSE, now_us, _rule(key.kind, leg))
            elif key in self.known:
                # Whether a model answers is known only when the whole answer has come.
                event = Event.ANSWER if key.kind is UpstreamKind.MODEL else Event.SUCCESS
                self._take(key, breaker, event, now_us, _rule(key.kind, leg))

    def _blocking(self, agent: Agent, leg: Leg, now_us: int) -> tuple[UpstreamKey, Breaker] | None:
        for key in _keys(agent, leg):
            breaker = self.known.get(key)
            if breaker is not None and not breaker.passes(now_us):
                return key, breaker
        return None

    def _refusal(self, agent: Agent, route: Route, now_us: int) -> Refused:
        """What the agent is told: of all legs, the one that may be tried first."""
        blocked = [(self._blocking(agent, leg, now_us), leg) for leg in route.legs]
        found = [(*each, leg) for each, leg in blocked if each is not None]
        key, breaker, leg = min(found, key=lambda each: each[1].until_us)
        if key == leg.credential_key:
            return Deny(reason=reason.credential_held(agent, key.name, breaker.failures))
        if key.kind is UpstreamKind.CREDENTIAL:
            why = reason.model_forbidden(agent, leg.provider.name, leg.model.name)
            return Deny(reason=why)
        wait_s = breaker.wait_s(now_us)
        upstream = f"{key.kind} {reason.quoted(key.name)}"
        why = reason.circuit_open(upstream, breaker.cause, breaker.failures, wait_s)
        return Throttle(reason=why, retry_after_s=wait_s)

    def _take(  # noqa: PLR0913, PLR0917 (what happened to which)
        self,
        key: UpstreamKey,
        before: Breaker,
        event: Event,
        now_us: int,
        rule: BreakerRule,
        cause: str = "",
    ) -> None:
        after = decisions.advance(before, event, now_us, rule, cause)
        if after == _CLOSED:
            self.known.pop(key, None)
        else:
            self._remember(key, after)
        if after != before and event is not Event.LAPSE and _is_news(before, after):
            self.on_change(key, after)
        if before.state is State.CLOSED and after.state is State.OPEN:
            seconds = f"{(after.until_us - now_us) / 1_000_000:g}"
            detail = {"cause": cause, "failures": str(after.failures), "seconds": seconds}
            self._record("breaker.opened", key, detail)
        elif before.state is not State.CLOSED and after.state is State.CLOSED:
            self._record("breaker.closed", key, {})

    def _record(self, what: str, key: UpstreamKey, detail: Mapping[str, str]) -> None:
        organisation, kind, name = key
        subject = f"{kind.value}:{name}"
        self._findings.changed(organisation, what, subject, detail)


class _Attempt(NamedTuple):
    """Whose call went where, and what came of it."""

    agent: Agent
    leg: Leg
    cause: str
    is_probe: bool


def _keys(agent: Agent, leg: Leg) -> tuple[UpstreamKey, ...]:
    return (*_credential_keys(agent, leg), leg.provider_key, leg.model_key)


def _credential_keys(agent: Agent, leg: Leg) -> tuple[UpstreamKey, UpstreamKey, UpstreamKey]:
    """The credential for whatever it is shown, for a model, and for an agent with the model."""
    whole, model = leg.credential_key, leg.model.name
    of_model = whole._replace(name=f"{whole.name} for {model}")
    own = whole._replace(name=f"{whole.name} for {model} by {agent.name}")
    return whole, of_model, own


def _is_news(before: Breaker, after: Breaker) -> bool:
    """Whether other workers must know: it has opened, or its probe has closed it."""
    was_open = before.state is not State.CLOSED
    return after.state is State.OPEN or (was_open and after.state is State.CLOSED)


def _rule(kind: UpstreamKind, leg: Leg) -> BreakerRule:
    match kind:
        case UpstreamKind.CREDENTIAL:
            return CREDENTIAL_RULE
        case UpstreamKind.MODEL:
            return leg.model.breaker
        case _:
            return leg.provider.breaker
