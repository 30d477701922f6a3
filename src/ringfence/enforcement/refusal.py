"""Refusals on the record: the first at once, its repeats counted in one further event."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from ringfence.domain.action import ActionKind
from ringfence.domain.error import PeerError
from ringfence.domain.event import Decision, Refusal
from ringfence.domain.verdict import Code, Deny, Reason, Refused, Stop, Throttle
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.record import Ledger, heading
from ringfence.stores.body import Body
from ringfence.telemetry.metric import Meter
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

INTERNAL = Reason(
    code=Code.INTERNAL,
    message="Ringfence failed unexpectedly and stopped this call. The failure is in its log.",
)
"""What is unexpected denies (DESIGN I4)."""

REPEAT_WINDOW_US = 20_000_000
"""A refusal with the same cause within this time of the last is a repeat."""
REMEMBERED_MAX = 10_000
"""How many causes are counted at once; beyond that the oldest is written out early."""
CAUSES_PER_MINUTE = 20
"""How many different causes one credential may put on the record in a minute, each with a body;
the rest is counted together, since a client can make up new names for ever."""
KEPT_BODY_BYTES = 16 * 1024
"""How much of a refused body is kept: refusals cost an agent nothing, but the disk is ours."""
OTHERS = "others"
"""The resource and the operation of refusals that are counted together."""

_MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """What was asked for, as far as it was understood when it was refused."""

    kind: ActionKind = ActionKind.MODEL_CALL
    resource: str = ""
    operation: str = ""
    invocation: str = ""
    root: str = ""
    client: str = ""
    body: Body | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedAction:
    """A refusal as the door answers it."""

    verdict: Refused
    action: str
    invocation: str = ""


@dataclass(slots=True)
class _Minute:
    """What one credential has put on the record since `start_us`."""

    start_us: int
    causes: int = 0


@dataclass(slots=True)
class _Counter:
    caller: Caller
    attempted: Attempted
    decision: Decision
    first_action: str
    last_us: int
    repeats: int = 0


_Cause = tuple[str, str, str, str, str]


class Refusals:
    """Writes refusals and counts their repeats.

    A cause is (credential, invocation, operation, resource, code): an agent that hammers a closed
    door leaves two events, not thousands. INVARIANT: what is counted holds no body.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        directory: Directory,
        clock: Clock,
        ids: Ids,
        meter: Meter | None = None,
    ) -> None:
        """Join the parts; nothing is counted yet."""
        self._ledger = ledger
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._meter = meter or Meter()
        self._counters: OrderedDict[_Cause, _Counter] = OrderedDict()
        self._minutes: dict[str, _Minute] = {}

    def refuse(self, caller: Caller, verdict: Refused, attempted: Attempted) -> RefusedAction:
        """Put a refusal on the record; a repeat has the action id of the first, which is there."""
        now_us = self._clock.now_us()
        agent = caller.runtime.agent.name
        code = verdict.reason.code.value
        self._meter.refused(caller.runtime.organisation.id, agent, code)
        cause = (
            caller.credential,
            attempted.invocation,
            attempted.operation,
            attempted.resource,
            code,
        )
        counter = self._counting(cause, now_us)
        invocation = attempted.invocation
        if counter is None and not self._may_add(caller.credential, now_us):
            cause = (caller.credential, "", OTHERS, OTHERS, "")
            counter = self._counting(cause, now_us)
            attempted = Attempted(kind=attempted.kind, resource=OTHERS, operation=OTHERS)
        if counter is not None:
            counter.repeats += 1
            counter.last_us = now_us
            action = counter.first_action
        else:
            decision = decision_of(verdict)
            action = self._ids.make("act")
            self._write(caller, attempted, decision, action=action, now_us=now_us)
            counted = replace(attempted, body=None)
            self._counters[cause] = _Counter(caller, counted, decision, action, now_us)
            if len(self._counters) > REMEMBERED_MAX:
                self._write_repeats(self._counters.popitem(last=False)[1], now_us)
        return RefusedAction(verdict=verdict, action=action, invocation=invocation)

    def _counting(self, cause: _Cause, now_us: int) -> _Counter | None:
        """The counter of a cause; one whose time is over is written out."""
        counter = self._counters.get(cause)
        if counter is None or now_us - counter.last_us < REPEAT_WINDOW_US:
            return counter
        self._write_repeats(self._counters.pop(cause), now_us)
        return None

    def _may_add(self, credential: str, now_us: int) -> bool:
        """Whether a credential may put one more cause on the record in this minute."""
        minute = self._minutes.get(credential)
        if minute is None or now_us - minute.start_us >= _MINUTE_US:
            minute = self._minutes[credential] = _Minute(now_us)
        minute.causes += 1
        return minute.causes <= CAUSES_PER_MINUTE

    def flush(self, *, everything: bool = False) -> None:
        """Write out the counts whose time has passed, or all of them before the plane stops."""
        now_us = self._clock.now_us()
        for cause, counter in list(self._counters.items()):
            if everything or now_us - counter.last_us >= REPEAT_WINDOW_US:
                del self._counters[cause]
                self._write_repeats(counter, now_us)
        for credential, minute in list(self._minutes.items()):
            if now_us - minute.start_us >= _MINUTE_US:
                del self._minutes[credential]

    def _write_repeats(self, counter: _Counter, now_us: int) -> None:
        if counter.repeats:
            self._write(
                counter.caller,
                counter.attempted,
                counter.decision,
                action=self._ids.make("act"),
                now_us=now_us,
                repeats=counter.repeats,
                first_action=counter.first_action,
            )

    def _write(  # noqa: PLR0913 (an event has these parts)
        self,
        caller: Caller,
        attempted: Attempted,
        decision: Decision,
        *,
        action: str,
        now_us: int,
        repeats: int = 0,
        first_action: str = "",
    ) -> None:
        self._ledger.record(
            Refusal(
                **heading(caller, self._directory, now_us),
                action=action,
                action_kind=attempted.kind.value,
                resource=attempted.resource,
                operation=attempted.operation,
                invocation=attempted.invocation,
                root=attempted.root,
                decision=decision,
                repeats=repeats,
                first_action=first_action,
                client=attempted.client,
            ),
            None if repeats else _kept(attempted.body),
        )


def reason_of(error: PeerError) -> Reason:
    """A peer's mistake as a reason."""
    return Reason(
        code=Code(error.code),
        message=f"Ringfence refused this request: {error.message}.",
    )


def _kept(body: Body | None) -> Body | None:
    """A body, or its beginning in one piece if it is long."""
    if body is None or len(body.whole) <= KEPT_BODY_BYTES:
        return body
    return Body(body.whole[:KEPT_BODY_BYTES])


def decision_of(verdict: Refused) -> Decision:
    """A verdict as an event states it."""
    reason: Reason = verdict.reason
    facts = dict(reason.facts)
    if isinstance(verdict, Throttle):
        facts["retry_after_s"] = f"{verdict.retry_after_s:g}"
    name = {Deny: "deny", Throttle: "throttle", Stop: "stop"}.get(type(verdict), "ask")
    return Decision(verdict=name, code=reason.code.value, message=reason.message, facts=facts)
