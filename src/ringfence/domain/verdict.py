"""Verdicts: the closed set of answers to the question whether an action may happen."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable reason codes; the refusal table (`protocols.refusal`) maps each to a status."""

    CREDENTIAL_MISSING = "credential_missing"
    CREDENTIAL_UNKNOWN = "credential_unknown"
    CREDENTIAL_REVOKED = "credential_revoked"
    CREDENTIAL_AMBIGUOUS = "credential_ambiguous"
    PROOF_REFUSED = "proof_refused"
    USER_UNKNOWN = "user_unknown"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    AGENT_SUSPENDED = "agent_suspended"
    AGENT_RETIRED = "agent_retired"
    INVOCATION_UNKNOWN = "invocation_unknown"
    INVOCATION_CLOSED = "invocation_closed"
    INVOCATION_REQUIRED = "invocation_required"
    INVOCATION_STOPPED = "invocation_stopped"
    OUT_OF_SCOPE = "out_of_scope"
    HOSTED_TOOL = "hosted_tool"
    FIELD_REFUSED = "field_refused"
    INPUT_UNBOUNDED = "input_unbounded"
    PROVIDER_OBJECT = "provider_object"
    PRICE_UNKNOWN = "price_unknown"
    BUDGET_EXHAUSTED = "budget_exhausted"
    LIMIT_REACHED = "limit_reached"
    LOOP_DETECTED = "loop_detected"
    OFF_TOPIC = "off_topic"
    RATE_EXCEEDED = "rate_exceeded"
    REQUEST_MALFORMED = "request_malformed"
    REQUEST_TOO_LARGE = "request_too_large"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    STORE_UNAVAILABLE = "store_unavailable"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_TIMEOUT = "provider_timeout"
    PROVIDER_MALFORMED = "provider_malformed"
    PROVIDER_CREDENTIAL = "provider_credential"
    CIRCUIT_OPEN = "circuit_open"
    TOOL_UNKNOWN = "tool_unknown"
    TOOL_CHANGED = "tool_changed"
    TOOL_UNAVAILABLE = "tool_unavailable"
    ARGUMENTS_INVALID = "arguments_invalid"
    POLICY_DENIED = "policy_denied"
    APPROVAL_PENDING = "approval_pending"
    APPROVAL_DENIED = "approval_denied"
    APPROVAL_EXPIRED = "approval_expired"
    APPROVAL_MISMATCH = "approval_mismatch"
    POSTCONDITION_FAILED = "postcondition_failed"
    DESTINATION_REFUSED = "destination_refused"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a verdict is not a plain Allow, written for the model and for the person.

    `message` is a whole sentence that a model can act on. `facts` are (name, value) pairs for
    programs: for a budget `budget`, `limit_usd`, `left_usd`, `needed_usd`, `resets_at`, `ask`.
    """

    code: Code
    message: str
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerOutputLimit:
    """Write this output limit into the request, whatever the client asked for."""

    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddHint:
    """Add this text, marked as Ringfence's, where the model reads it next."""

    text: str


Obligation = LowerOutputLimit | AddHint


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """The action may happen if every obligation is met."""

    obligations: tuple[Obligation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The action may not happen; asking again unchanged will not help."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A person must approve first."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Too fast: the same action may be tried after `retry_after_s`."""

    reason: Reason
    retry_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The invocation is over; nothing more of it may happen."""

    reason: Reason


Refused = Deny | Ask | Throttle | Stop
Verdict = Allow | Refused
