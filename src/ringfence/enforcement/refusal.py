"""Refusals on the record: the first at once, its repeats counted in one further event."""

from dataclasses import dataclass, replace

from ringfence.domain.action import ActionKind
from ringfence.domain.error import PeerError
from ringfence.domain.event import Decision, Refusal
from ringfence.domain.verdict import Code, Deny, Reason, Refused, Stop, Throttle
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.record import Ledger, heading
from ringfence.enforcement.repeat import Counted, Repeats
from ringfence.stores.body import Body
from ringfence.telemetry.metric import Meter
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

INTERNAL = Reason(
    code=Code.INTERNAL,
    message="Ringfence failed unexpectedly and stopped this call. The failure is in its log.",
)
"""What is unexpected denies (I4)."""

REMEMBERED_MAX = 10_000
"""How many causes are counted at once; beyond that the oldest is written out early."""
CAUSES_PER_MINUTE = 20
"""How many different causes one credential may put on the record in a minute, each with a body;
the rest is counted together, since a client can make up new names for ever."""
CAUSES_OF_SANDBOX = 200
"""The same for one sandbox and kind of actions: whoever tries one way out after the other is to be
seen doing it."""
KEPT_BODY_BYTES = 16 * 1024
"""How much of a refused body is kept: refusals cost an agent nothing, but the disk is ours."""
_UNREAD = frozenset({Code.REQUEST_MALFORMED, Code.DESTINATION_REFUSED})
"""What cannot be read, or not with certainty, names nothing: in a sandbox the reason tells such
calls apart."""
OTHERS = "others"
"""The resource and the operation of refusals that are counted together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedAction:
    """What was asked for, as far as it was understood when it was refused."""

    kind: ActionKind = ActionKind.MODEL_CALL
    resource: str = ""
    operation: str = ""
    invocation: str = ""
    root: str = ""
    client: str = ""
    body: Body | None = None
    sandbox: str = ""
    target: str = ""
    """Of a request through egress, as far as it was understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedAction:
    """A refusal as the door answers it."""

    verdict: Refused
    action: str
    invocation: str = ""


@dataclass(frozen=True, slots=True)
class _Written:
    """A refusal that is on the record, without its body."""

    caller: Caller
    requested: RequestedAction
    decision: Decision


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
        self._repeats: Repeats[_Cause, _Written] = Repeats(
            clock, self._write_repeats, most=REMEMBERED_MAX, per_minute=CAUSES_PER_MINUTE
        )

    def refuse(self, caller: Caller, verdict: Refused, requested: RequestedAction) -> RefusedAction:
        """Put a refusal on the record; a repeat has the action id of the first, which is there."""
        now_us = self._clock.now_us()
        agent = caller.runtime.agent.name
        code = verdict.reason.code.value
        self._meter.refused(caller.runtime.organisation.id, agent, code)
        is_unread = requested.sandbox and verdict.reason.code in _UNREAD
        cause = (
            caller.credential,
            requested.invocation,
            requested.operation,
            requested.resource,
            verdict.reason.message if is_unread else code,
        )
        invocation, repeats = requested.invocation, self._repeats
        action = repeats.again(cause, now_us)
        if action is None and not self._may_add(caller, requested, now_us):
            cause = (caller.credential, "", OTHERS, OTHERS, "")
            action = repeats.again(cause, now_us)
            requested = RequestedAction(
                kind=requested.kind, resource=OTHERS, operation=OTHERS, sandbox=requested.sandbox
            )
        if action is None:
            decision = decision_of(verdict)
            action = self._ids.make("act")
            self._write(caller, requested, decision, action=action, now_us=now_us)
            written = _Written(caller, replace(requested, body=None), decision)
            repeats.add(cause, written, action, now_us)
        return RefusedAction(verdict=verdict, action=action, invocation=invocation)

    def _may_add(self, caller: Caller, requested: RequestedAction, now_us: int) -> bool:
        """In a sandbox each kind counts for itself: a flood of hosts hides no stolen token."""
        if not requested.sandbox:
            return self._repeats.may_add(caller.credential, now_us)
        source = f"{caller.credential} {requested.kind}"
        return self._repeats.may_add(source, now_us, CAUSES_OF_SANDBOX)

    def flush(self, *, everything: bool = False) -> None:
        """Write out the counts whose time has passed, or all of them before the plane stops."""
        self._repeats.flush(everything=everything)

    def end(self, credential: str) -> None:
        """A credential is over: write out what was counted of it."""
        self._repeats.end(lambda cause: cause[0] == credential)

    def _write_repeats(self, counted: Counted[_Written]) -> None:
        self._write(
            counted.what.caller,
            counted.what.requested,
            counted.what.decision,
            action=self._ids.make("act"),
            now_us=self._clock.now_us(),
            repeats=counted.repeats,
            first_action=counted.action,
        )

    def _write(  # noqa: PLR0913 (an event has these parts)
        self,
        caller: Caller,
        requested: RequestedAction,
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
                action_kind=requested.kind.value,
                resource=requested.resource,
                operation=requested.operation,
                invocation=requested.invocation,
                root=requested.root,
                decision=decision,
                repeats=repeats,
                first_action=first_action,
                client=requested.client,
                sandbox=requested.sandbox,
                target=requested.target,
            ),
            None if repeats else _kept(requested.body),
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
