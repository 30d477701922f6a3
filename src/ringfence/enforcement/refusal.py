"""Refusals on the record: the first at once, its repeats counted in one further event."""

from collections import OrderedDict
from dataclasses import dataclass

from ringfence.domain.action import ActionKind
from ringfence.domain.event import Decision, Refusal
from ringfence.domain.verdict import Code, Deny, Reason, Refused, Stop, Throttle
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.record import Ledger, heading
from ringfence.stores.body import Body
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
    door leaves two events, not thousands.
    """

    def __init__(self, *, ledger: Ledger, directory: Directory, clock: Clock, ids: Ids) -> None:
        """Join the parts; nothing is counted yet."""
        self._ledger = ledger
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._counters: OrderedDict[_Cause, _Counter] = OrderedDict()

    def refuse(self, caller: Caller, verdict: Refused, attempted: Attempted) -> RefusedAction:
        """Put a refusal on the record; a repeat has the action id of the first, which is there."""
        now_us = self._clock.now_us()
        cause = (
            caller.credential,
            attempted.invocation,
            attempted.operation,
            attempted.resource,
            verdict.reason.code.value,
        )
        counter = self._counters.get(cause)
        if counter is not None and now_us - counter.last_us < REPEAT_WINDOW_US:
            counter.repeats += 1
            counter.last_us = now_us
            action = counter.first_action
        else:
            if counter is not None:
                self._write_repeats(self._counters.pop(cause), now_us)
            decision = decision_of(verdict)
            action = self._ids.make("act")
            self._counters[cause] = _Counter(caller, attempted, decision, action, now_us)
            self._write(caller, attempted, decision, action=action, now_us=now_us)
            if len(self._counters) > REMEMBERED_MAX:
                self._write_repeats(self._counters.popitem(last=False)[1], now_us)
        return RefusedAction(verdict=verdict, action=action, invocation=attempted.invocation)

    def flush(self, *, everything: bool = False) -> None:
        """Write out the counts whose time has passed, or all of them before the plane stops."""
        now_us = self._clock.now_us()
        for cause, counter in list(self._counters.items()):
            if everything or now_us - counter.last_us >= REPEAT_WINDOW_US:
                del self._counters[cause]
                self._write_repeats(counter, now_us)

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
            None if repeats else attempted.body,
        )


def decision_of(verdict: Refused) -> Decision:
    """A verdict as an event states it."""
    reason: Reason = verdict.reason
    facts = dict(reason.facts)
    if isinstance(verdict, Throttle):
        facts["retry_after_s"] = f"{verdict.retry_after_s:g}"
    name = {Deny: "deny", Throttle: "throttle", Stop: "stop"}.get(type(verdict), "ask")
    return Decision(verdict=name, code=reason.code.value, message=reason.message, facts=facts)
