"""The path of one request through egress to a durable intent, and from its end to the record.

Requests of a sandbox come here before anything of them leaves (`gateways.egress`); where they go
was decided before (`decisions.destination`). Every `if` about permission asks `decisions`.
"""

import base64
import hashlib
from typing import Final

import msgspec

from ringfence.decisions import destination as rule
from ringfence.decisions import reason
from ringfence.decisions.reservation import Count, Reservation, Shortfall
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import StoreFailure
from ringfence.domain.approval import Binding
from ringfence.domain.destination import Authority, Destination
from ringfence.domain.event import AGENT, BY_CALLER, Intent
from ringfence.domain.money import ZERO
from ringfence.domain.policy import PolicyVerdict
from ringfence.domain.tool import PermissionTier
from ringfence.domain.verdict import Deny, Reason, Refused
from ringfence.enforcement.action_path import PathParts
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.credential_injection import SECRET_MISPLACED, Injections
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.finding import SECRET_SHOWN
from ringfence.enforcement.holding import (
    HeldKnock,
    Holdable,
    HoldingPath,
    LackingApproval,
    binding_of,
    outdated,
)
from ringfence.enforcement.http_breaker import HttpBreakers
from ringfence.enforcement.http_judgement import Asked, HttpJudgements, Judged
from ringfence.enforcement.http_ticket import HttpEnding, HttpTicket
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.live import LiveInvocation, state_reason
from ringfence.enforcement.policy import Policies, question_of
from ringfence.enforcement.refusal import RefusedAction, RequestedAction
from ringfence.stores.body import Body

TUNNEL: Final = "TUNNEL"
"""The operation of a connection that passes through without being looked into."""

_UNAUTHORISED: Final = 401
_TARGET_CHARACTERS: Final = 2_048
_WORD_CHARACTERS: Final = 200
_LEAST_BYTES: Final = 64 * 1024
"""So much must be left of the limit in bytes for a request to begin."""


_ASK: Final = PolicyVerdict.ASK
_CONSEQUENTIAL: Final = PermissionTier.CONSEQUENTIAL
_OPEN: Final = StoreFailure.OPEN
"""By the names of their classes they cost a call each."""
_KIND: Final = ActionKind.HTTP_REQUEST.value
_NOTHING_ASKED: Final = Asked(
    Destination(scheme="", host="", port=0), "", b"", "", "", is_tunnel=False, is_injected=False
)


class HttpKnock(HeldKnock, frozen=True, kw_only=True):
    """One request as it comes to the path.

    `path` is raw and without its query, `path_text` it decoded once; `doubt` says what of it
    servers may read differently. `body` is the beginning of the body, all of it if `is_whole`.
    """

    destination: Destination
    method: str
    path: bytes = b"/"
    path_text: str = "/"
    query: bytes = b""
    doubt: str = ""
    body: bytes = b""
    is_whole: bool = True
    body_bytes: int | None = 0
    """How long the whole body is, if that is known."""
    sandbox: str = ""
    """Empty for a request that passes no door: then the agent itself must obey."""
    is_tunnel: bool = False
    """Whether more is said on it than one request and one answer."""
    uninspected: bool = False
    misplaced: str = ""
    """The secret whose placeholder it carries although its host is none of that secret's."""
    second_path: str = ""
    """A header that names one more path of the host, to which no secret may lead."""
    kept_bytes: int = 0
    """How much of each body goes on the record."""
    target: str = ""
    """Where it goes, as the record says it; set by itself."""
    asked: Asked = _NOTHING_ASKED
    """What is judged of it; likewise."""

    def __post_init__(self) -> None:
        """What is read of it more than once."""
        query = b"?" + self.query if self.query else b""
        said = (self.path + query).decode("latin-1")
        target = f"{self.destination.origin}{said}"[:_TARGET_CHARACTERS]
        msgspec.structs.force_setattr(self, "target", target)
        asked = Asked(
            self.destination,
            self.method,
            self.path,
            self.path_text,
            self.doubt,
            self.is_tunnel,
            bool(self.sandbox) and not self.uninspected,
        )
        msgspec.structs.force_setattr(self, "asked", asked)


class HttpPath(HoldingPath[HttpKnock, HttpTicket]):
    """Decides requests through egress and keeps their books; one for each worker."""

    def __init__(
        self,
        parts: PathParts,
        *,
        policies: Policies,
        injections: Injections,
        approvals: Approvals | None,
    ) -> None:
        """Without `approvals` nobody can be asked, which denies."""
        super().__init__(parts, approvals)
        self._policies = policies
        self.injections = injections
        self._judgements = HttpJudgements(policies, injections)
        self.breakers = HttpBreakers(self.watch.breakers, parts.clock)

    def decide_in(
        self, knock: HttpKnock, live: LiveInvocation, now_us: int
    ) -> HttpTicket | Holdable | RefusedAction | Lacking:
        """Ask scope, policies, breakers and limits about the request, and a person last."""
        judged = self._judge(knock, live, now_us)
        if not isinstance(judged, Judged):
            return self.turn_away(knock, Deny(reason=judged), live)
        if self.watch.breakers.known:
            agent, resource = knock.caller.runtime.agent, judged.resource
            organisation = live.identity.organisation
            refused = self.breakers.refusal(agent, organisation, resource, judged.secrets)
            if refused is not None:
                return self.turn_away(knock, refused, live)
        counts = live.counted.whole_requests
        allowed_bytes = counts[-1].amount
        reserved: Reservation | RefusedAction | Shortfall | Lacking
        reserved = self._book.reserve(live.demands, ZERO, now_us, counts)
        if not isinstance(reserved, Reservation):  # for all that one may move there is no room
            allowed_bytes = self._allowed_bytes(knock, live, now_us)
            counts = self._counts(live, allowed_bytes)
            reserved = self.reserved(knock, live, ZERO, counts, now_us)
            if not isinstance(reserved, Reservation):
                return reserved
        try:
            asks = judged.decision.verdict is _ASK or self._doubts(live, judged)
            if knock.consumed or not asks:
                return self._ticket(knock, live, judged, reserved, allowed_bytes, now_us)
        except BaseException:
            self._book.release(reserved)
            raise
        self._book.release(reserved)
        return self._ask(knock, live, judged)

    def may_resolve(self, caller: Caller, live: LiveInvocation | None, name: Authority) -> bool:
        """Whether an agent is given an address for a name: some port of it is in scope.

        What is in scope and no policy would ever let be reached, is not told either.
        """
        if state_reason(caller.runtime) is not None or live is None:
            return False
        now_us = self._clock.now_us()
        if live.closed_reason(now_us) is not None:
            return False
        if not rule.name_in_scope(caller.runtime.agent, name, live.hosts):
            return False
        question = question_of(
            live, ActionKind.HTTP_REQUEST, name.host, tier=PermissionTier.READ, now_us=now_us
        )
        return self._policies.may_list(question)

    def may_connect(self, caller: Caller, live: LiveInvocation, to: Destination) -> Reason | None:
        """Why no connection to a destination is begun at all; None if requests may be asked for."""
        not_active = state_reason(caller.runtime) or live.closed_reason(self._clock.now_us())
        return not_active or rule.in_scope(caller.runtime.agent, to, live.hosts)

    def _judge(self, knock: HttpKnock, live: LiveInvocation, now_us: int) -> Judged | Reason:
        """What scope and policies say of it."""
        runtime, to = knock.caller.runtime, knock.destination
        if knock.misplaced:
            outside = rule.in_scope(runtime.agent, to, live.hosts)
            if outside is not None:
                return outside
            self._report_misplaced(knock, live)
            return reason.secret_misplaced(runtime.agent, knock.misplaced, to.resource)
        judged = self._judgements.judge(runtime, live, knock.asked, now_us)
        if knock.second_path and isinstance(judged, Judged):
            injected = judged.injected
            if injected is not None and injected.leads_nowhere_else:
                return reason.not_forwarded(
                    runtime.agent,
                    f"`{knock.second_path}` names a second path, and a secret that would be added "
                    "is for some paths alone",
                )
        if knock.used is not None and isinstance(judged, Judged):
            doubts = self._doubts(live, judged)
            refused = outdated(knock, _binding(knock, live, judged), doubts)
            if refused is not None:
                return refused.reason
        return judged

    def _report_misplaced(self, knock: HttpKnock, live: LiveInvocation) -> None:
        if not live.is_recorded:
            self._invocations.record_opening(live)
        detail = {"secret": knock.misplaced, "host": knock.destination.resource}
        self.findings.found(live, SECRET_MISPLACED, detail | {"sandbox": knock.sandbox})

    def _doubts(self, live: LiveInvocation, judged: Judged) -> tuple[str, ...]:
        """What a person must know before such a request: checks of the state that have failed."""
        if judged.tier < _CONSEQUENTIAL:
            return ()
        return tuple(live.tree.doubts.values())

    def _allowed_bytes(self, knock: HttpKnock, live: LiveInvocation, now_us: int) -> int:
        """How much it and its answer may move: less than one may, where less is left for all."""
        most = live.top.runtime.agent.limits.http_call_bytes
        demand = live.counted.http_bytes
        if demand is None or (self._book.is_lent and not knock.is_final):
            return most
        left = self._book.left((demand,), now_us)
        return most if left is None else max(min(most, left), min(most, _LEAST_BYTES))

    def _counts(self, live: LiveInvocation, allowed_bytes: int) -> tuple[Count, ...]:
        demand = live.counted.http_bytes
        if demand is None:
            return live.counted.requests
        return (*live.counted.requests, Count(demand, allowed_bytes))

    def _ask(
        self, knock: HttpKnock, live: LiveInvocation, judged: Judged
    ) -> Holdable | LackingApproval | RefusedAction:
        if not knock.is_whole:
            why = reason.too_long_to_judge(knock.caller.runtime.agent, knock.destination.resource)
            return self.turn_away(knock, Deny(reason=why), live)
        binding = _binding(knock, live, judged)
        return self.asked(knock, live, binding, judged.decision, self._doubts(live, judged))

    def _ticket(  # noqa: PLR0913, PLR0917 (a request has these parts)
        self,
        knock: HttpKnock,
        live: LiveInvocation,
        judged: Judged,
        reserved: Reservation,
        allowed_bytes: int,
        now_us: int,
    ) -> HttpTicket:
        caller = knock.caller
        intent = self.next_intent(knock, live, reserved, now_us)
        _state(intent, knock, judged)
        kept = knock.body[: knock.kept_bytes]
        runtime, injected = caller.runtime, judged.injected
        injection = None if injected is None else self.injections.plan(runtime, injected)
        body = Body(kept) if kept else None
        is_open = runtime.agent.on_store_failure is _OPEN
        durable = self._ledger.intend(intent, body, is_open=is_open)
        ticket = HttpTicket(
            caller,
            live,
            knock.destination,
            injection,
            intent,
            kept,
            reserved,
            allowed_bytes,
            durable,
            self._clock.monotonic_us(),
            self._settle,
        )
        ticket.uninspected = knock.uninspected
        live.is_recorded = True
        live.running.add(ticket)
        if knock.sandbox and self.watch.breakers.known:
            organisation = live.identity.organisation
            resource = knock.destination.resource
            ticket.is_probe = self.breakers.departed(organisation, resource, ticket.secrets)
        return ticket

    def answered(self, ticket: HttpTicket, status: int) -> None:
        """The head of an answer came: remember what it says of the host's health."""
        ticket.is_probe = False
        organisation = ticket.live.identity.organisation
        self.breakers.answered(organisation, ticket.resource, ticket.secrets, status)
        injection = ticket.injection
        if status == _UNAUTHORISED and injection is not None and injection.chosen.is_minted:
            for name in self.injections.refused(injection):
                self.watch.tokens.record(injection.organisation, name, ticket.resource)

    def failed(self, ticket: HttpTicket, cause: str) -> None:
        """No answer came."""
        ticket.is_probe = False
        organisation = ticket.live.identity.organisation
        self.breakers.failed(organisation, ticket.resource, ticket.secrets, cause)

    def redacted(self, ticket: HttpTicket, name: str, times: int) -> None:
        """An answer held a secret, which was taken out."""
        detail = {
            "secret": name,
            "host": ticket.resource,
            "action": ticket.action,
            "times": str(times),
        }
        self.findings.found(ticket.live, SECRET_SHOWN, detail)

    def misplaced(self, ticket: HttpTicket, name: str) -> Reason:
        """A body under way carries the placeholder of a secret that is not for its host."""
        resource = ticket.resource
        detail = {"secret": name, "host": resource, "action": ticket.action}
        self.findings.found(ticket.live, SECRET_MISPLACED, detail)
        return reason.secret_misplaced(ticket.caller.runtime.agent, name, resource)

    def requested(self, knock: HttpKnock) -> RequestedAction:
        """What was asked for, as a refusal records it; without its invocation."""
        return RequestedAction(
            kind=ActionKind.HTTP_REQUEST,
            resource=knock.destination.resource[:_WORD_CHARACTERS],
            operation=knock.method[:_WORD_CHARACTERS],
            client=knock.client,
            body=Body(knock.body[: knock.kept_bytes]) if knock.body else None,
            sandbox=knock.sandbox,
            target=knock.target,
        )

    def noticed(self, knock: HttpKnock, live: LiveInvocation, verdict: Refused) -> None:
        """A request was refused: repeats are counted where refusals are."""

    def _settle(self, ticket: HttpTicket, ending: HttpEnding) -> None:
        """Record the outcome; a request costs nothing by itself, but its bytes count."""
        now_us = self._clock.now_us()
        outcome = self.closing.form(ticket, now_us)
        outcome.status = ending.status
        outcome.http_status = ending.http_status
        outcome.error = ending.error[:_WORD_CHARACTERS]
        outcome.address = ending.address
        outcome.sent_bytes = ending.sent_bytes
        outcome.received_bytes = ending.received_bytes
        outcome.redactions = ending.redactions
        outcome.uninspected = ticket.uninspected
        if ticket.intent.enforced:
            outcome.reported_by = AGENT
        if ticket.secrets:
            outcome.secrets = list(ticket.secrets)
        if ending.first_byte_us:
            outcome.first_byte_us = ending.first_byte_us - ticket.started_us
        moved = ending.sent_bytes + ending.received_bytes
        self.closing.close(ticket, outcome, ZERO, moved, ending.body, now_us)
        if ticket.is_probe:
            organisation = ticket.live.identity.organisation
            self.breakers.lapsed(organisation, ticket.resource, ticket.secrets)


def _state(intent: Intent, knock: HttpKnock, judged: Judged) -> None:
    intent.action_kind = _KIND
    intent.resource = judged.resource
    intent.operation = knock.method
    intent.upstream = knock.destination.host
    intent.target = knock.target
    intent.sandbox = knock.sandbox
    if not knock.sandbox:
        intent.enforced = BY_CALLER
    intent.body_bytes = len(knock.body) if knock.body_bytes is None else knock.body_bytes
    intent.permission = judged.permission
    if knock.consumed:
        intent.approval = knock.approval
    intent.decision = judged.allowed


def _binding(knock: HttpKnock, live: LiveInvocation, judged: Judged) -> Binding:
    resource = knock.destination.resource
    kind = ActionKind.HTTP_REQUEST
    return binding_of(knock, live, kind, resource, _shown(knock), judged.decision)


def _shown(knock: HttpKnock) -> bytes:
    """The whole request as a person sees it, and as an approval is bound to it."""
    shown = {
        "method": knock.method,
        "url": f"{knock.destination.origin}{(knock.path).decode('latin-1')}",
        "query": knock.query.decode("latin-1"),
        "body_sha256": hashlib.sha256(knock.body).hexdigest(),
    }
    try:
        shown["body"] = knock.body.decode()
    except UnicodeDecodeError:
        shown["body_base64"] = base64.b64encode(knock.body).decode()
    return msgspec.json.encode(shown)
