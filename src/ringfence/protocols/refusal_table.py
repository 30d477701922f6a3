"""How every refusal of ours is put to every kind of client, as data; `refusal` is its one reader.

"Measured" means that an unmodified client was given the status by a scripted server and the
requests it then sent were counted (2026-11-21; `docs/refusals.md` names the releases). "Source"
means read in the client's own code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code


class Client(StrEnum):
    """A client known well enough to speak to it in its own way."""

    OPENAI_SDK = "openai SDK"
    ANTHROPIC_SDK = "anthropic SDK"
    GOOGLE_GENAI = "google-genai SDK"
    CLAUDE_CODE = "Claude Code"
    CLAUDE_AGENT_SDK = "claude-agent-sdk"
    CODEX = "Codex"
    COPILOT_CLI = "Copilot CLI"
    OPENCODE = "opencode"
    GEMINI_CLI = "Gemini CLI"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """How one reason is put to a client without quirks.

    `kind` is the error type of the OpenAI and Anthropic forms (they share these words), `google`
    the status word of the Google form. `retry_after_s` is set only where asking again unchanged
    may help; without it the refusal is final and says `x-should-retry: false`.
    """

    status: int
    kind: str
    google: str
    why: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Quirk:
    """What one client needs so that its user sees the message, once.

    `final` replaces the status of a refusal that is final; it also replaces statuses that were
    not measured with the client by one that was. `impatient` says that the client, told
    that trying again may help, repeats a 5xx so often or so quietly that it is told the opposite.
    """

    why: str
    final: Mapping[int, int] = field(default_factory=dict)
    impatient: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """Requests that a client is known to send for one refused call; what is absent is unknown.

    `final` is by the status of a final refusal, `retried` by the status of one that invites a
    retry. `stop` is for a stream that is stopped in its middle.
    """

    final: Mapping[int, int] = field(default_factory=dict)
    retried: Mapping[int, int] = field(default_factory=dict)
    stop: Mapping[Dialect, int] = field(default_factory=dict)


LONGEST_WAIT_S: Final = 60.0
"""A client asked to wait longer is told not to retry: the Anthropic SDK would sleep for as long as
it is asked, up to weeks, and the OpenAI SDK gives up above 120 s anyway (source: `_base_client.py`
of releases 2.11.0 and 3.52.0)."""

_AUTHENTICATION = ("authentication_error", "UNAUTHENTICATED")
_PERMISSION = ("permission_error", "PERMISSION_DENIED")
_REQUEST = ("invalid_request_error", "INVALID_ARGUMENT")
_SPENT = ("billing_error", "FAILED_PRECONDITION")
_OVER = ("permission_error", "FAILED_PRECONDITION")
_BROKEN = ("api_error", "INTERNAL")
_AWAY = ("api_error", "UNAVAILABLE")

ROWS: Final[Mapping[Code, Row]] = {
    Code.CREDENTIAL_MISSING: Row(401, *_AUTHENTICATION, "no credential of ours came with the call"),
    Code.CREDENTIAL_UNKNOWN: Row(401, *_AUTHENTICATION, "nobody has this credential"),
    Code.CREDENTIAL_REVOKED: Row(401, *_AUTHENTICATION, "the credential is no longer good"),
    Code.CREDENTIAL_AMBIGUOUS: Row(400, *_REQUEST, "two credentials: the request is at fault"),
    Code.PROOF_REFUSED: Row(401, *_AUTHENTICATION, "what should prove the user proves nobody"),
    Code.USER_UNKNOWN: Row(403, *_PERMISSION, "no agent may act for this user"),
    Code.ISSUER_UNAVAILABLE: Row(503, *_AWAY, "the keys of the user's issuer were not had", 2.0),
    Code.AGENT_SUSPENDED: Row(403, *_PERMISSION, "a person has to resume the agent"),
    Code.AGENT_RETIRED: Row(403, *_PERMISSION, "the agent is gone for good"),
    Code.INVOCATION_UNKNOWN: Row(403, *_PERMISSION, "the id is not this agent's"),
    Code.INVOCATION_CLOSED: Row(402, *_OVER, "the run is over"),
    Code.INVOCATION_REQUIRED: Row(403, *_PERMISSION, "this agent may only act in declared runs"),
    Code.INVOCATION_STOPPED: Row(402, *_OVER, "the run was stopped"),
    Code.OUT_OF_SCOPE: Row(403, *_PERMISSION, "the agent does not declare this"),
    Code.HOSTED_TOOL: Row(403, *_PERMISSION, "a tool that the provider would run is not allowed"),
    Code.FIELD_REFUSED: Row(403, *_PERMISSION, "a field changes the price beyond any bound"),
    Code.INPUT_UNBOUNDED: Row(403, *_PERMISSION, "input from outside the body has no bound"),
    Code.PROVIDER_OBJECT: Row(403, *_PERMISSION, "the object is not this agent's"),
    Code.PRICE_UNKNOWN: Row(403, *_PERMISSION, "a call without a price cannot be budgeted"),
    Code.BUDGET_EXHAUSTED: Row(402, *_SPENT, "the money is spent"),
    Code.LIMIT_REACHED: Row(402, *_OVER, "a counted limit is reached"),
    Code.LOOP_DETECTED: Row(402, *_OVER, "the run repeats itself and was stopped"),
    Code.OFF_TOPIC: Row(403, *_PERMISSION, "the task is not this agent's; a person has been told"),
    Code.RATE_EXCEEDED: Row(
        429, "rate_limit_error", "RESOURCE_EXHAUSTED", "too fast; waiting helps", 1.0
    ),
    Code.REQUEST_MALFORMED: Row(400, *_REQUEST, "not a message that everybody reads alike"),
    Code.REQUEST_TOO_LARGE: Row(
        413, "request_too_large", "INVALID_ARGUMENT", "over the size limit"
    ),
    Code.NOT_FOUND: Row(404, "not_found_error", "NOT_FOUND", "no such path"),
    Code.METHOD_NOT_ALLOWED: Row(405, "invalid_request_error", "UNIMPLEMENTED", "see `allow`"),
    Code.STORE_UNAVAILABLE: Row(503, *_AWAY, "our store is away; nothing was dispatched", 2.0),
    Code.PROVIDER_UNAVAILABLE: Row(503, *_AWAY, "the provider was not reached", 2.0),
    Code.PROVIDER_TIMEOUT: Row(
        504,
        "timeout_error",
        "DEADLINE_EXCEEDED",
        "the provider may have charged: a retry pays twice",
    ),
    Code.PROVIDER_MALFORMED: Row(502, *_BROKEN, "the provider has answered, and so has charged"),
    Code.PROVIDER_CREDENTIAL: Row(
        502, *_BROKEN, "the provider refuses our credential: a person has to mend it"
    ),
    Code.CIRCUIT_OPEN: Row(
        503, *_AWAY, "the provider fails and is left alone for a while; nothing was sent", 5.0
    ),
    Code.TOOL_UNKNOWN: Row(403, *_PERMISSION, "the agent has no such tool, or nobody has"),
    Code.TOOL_CHANGED: Row(403, *_PERMISSION, "the tool is not the one that a person accepted"),
    Code.TOOL_UNAVAILABLE: Row(503, *_AWAY, "the tool's server fails or is away", 5.0),
    Code.ARGUMENTS_INVALID: Row(400, *_REQUEST, "the tool's own schema does not allow them"),
    Code.POLICY_DENIED: Row(403, *_PERMISSION, "a policy forbids it, or none permits it"),
    Code.APPROVAL_PENDING: Row(403, *_PERMISSION, "a person has to say yes first"),
    Code.APPROVAL_DENIED: Row(403, *_PERMISSION, "a person has said no"),
    Code.APPROVAL_EXPIRED: Row(403, *_PERMISSION, "nobody said yes in time"),
    Code.APPROVAL_MISMATCH: Row(403, *_PERMISSION, "what was approved is something else"),
    Code.POSTCONDITION_FAILED: Row(
        403, *_PERMISSION, "an earlier call did not do what it said: a person has to look"
    ),
    Code.DESTINATION_REFUSED: Row(
        403, *_PERMISSION, "it is not certain where it goes, or it leads where agents do not go"
    ),
    Code.SHUTTING_DOWN: Row(503, *_AWAY, "another worker or the next start will answer", 1.0),
    Code.INTERNAL: Row(500, *_BROKEN, "a fault of ours denies; the provider may have charged"),
}
"""INVARIANT: every code has a row. Final statuses lie outside what SDKs retry by themselves (408,
409, 429 and 5xx) wherever the reason permits; `x-should-retry: false` covers the rest."""

_CLAUDE = Quirk(
    "repeats 400 twice and hides 401 and 503 while it repeats them; words 403 as a failed login",
    final={400: 402, 401: 403, 403: 402, 404: 402, 405: 402, 413: 402},
    impatient=True,
)

QUIRKS: Final[Mapping[Client, Quirk]] = {
    Client.CLAUDE_CODE: _CLAUDE,
    Client.CLAUDE_AGENT_SDK: _CLAUDE,
    Client.CODEX: Quirk(
        "repeats everything but 400, up to 30 times, and hides the text of 429",
        final=dict.fromkeys((401, 402, 403, 404, 405, 413, 429, 500, 502, 503, 504), 400),
        impatient=True,
    ),
    Client.COPILOT_CLI: Quirk(
        "hides the text of 401 and 403 behind advice to check its key; a plain 503 is unmeasured",
        final=dict.fromkeys((401, 403, 404, 405, 413), 400) | dict.fromkeys((500, 502, 504), 503),
        impatient=True,
    ),
    Client.OPENCODE: Quirk(
        "repeats 429 and 5xx 8 times whatever the headers say",
        final=dict.fromkeys((404, 405, 413, 429, 500, 502, 503, 504), 400),
        impatient=True,
    ),
    Client.GEMINI_CLI: Quirk(
        "repeats 429 and 5xx at least 4 times whatever the headers say",
        final=dict.fromkeys((404, 405, 413, 429, 500, 502, 503, 504), 400),
        impatient=True,
    ),
}

_ALL_FINAL: Final = (400, 401, 402, 403, 404, 405, 413, 429, 500, 502, 503, 504)
# Source: both SDKs obey `x-should-retry` before they look at the status; measured for 400 to 403,
# 429 and 503. Left to themselves they try 429 and 5xx three times.
_SDK_FINAL: Final = dict.fromkeys(_ALL_FINAL, 1)
_SDK_RETRIED: Final = {429: 3, 503: 3}
# Measured: 402, 403, 429 and 503 with `x-should-retry: false`. Its SDK treats all 5xx alike.
_CLAUDE_FINAL: Final = dict.fromkeys((402, 403, 429, 500, 502, 503, 504), 1)

FIGURES: Final[Mapping[Client, Figures]] = {
    Client.OPENAI_SDK: Figures(
        final=_SDK_FINAL,
        retried=_SDK_RETRIED,
        stop={Dialect.CHAT: 1, Dialect.RESPONSES: 1},
    ),
    Client.ANTHROPIC_SDK: Figures(
        final=_SDK_FINAL, retried=_SDK_RETRIED, stop={Dialect.MESSAGES: 1}
    ),
    # Source: `retry_args` in google-genai 3.4.0 never retries unless the program asks for it.
    Client.GOOGLE_GENAI: Figures(
        final=_SDK_FINAL, retried={429: 1, 503: 1}, stop={Dialect.GEMINI: 1}
    ),
    # A stopped stream is silently repeated without streaming; that second request is ours to
    # refuse, because the stop holds for the invocation.
    Client.CLAUDE_CODE: Figures(final=_CLAUDE_FINAL, stop={Dialect.MESSAGES: 2}),
    Client.CLAUDE_AGENT_SDK: Figures(final=_CLAUDE_FINAL, stop={Dialect.MESSAGES: 2}),
    # Codex repeats 429 six times when told when; the stop is `response.failed` with the error code
    # `invalid_prompt`, the only form whose text it shows.
    Client.CODEX: Figures(final={400: 1}, retried={429: 6}, stop={Dialect.RESPONSES: 1}),
    # A stopped stream is repeated once (`make journeys`); the answer to that shows the message.
    Client.COPILOT_CLI: Figures(
        final={400: 1, 402: 1, 429: 1, 503: 1}, stop={Dialect.CHAT: 2, Dialect.MESSAGES: 2}
    ),
    # Two calls, not two tries: opencode asks for a title beside its first call.
    Client.OPENCODE: Figures(final={400: 2, 401: 2, 402: 2, 403: 2}, retried={429: 8}),
    Client.GEMINI_CLI: Figures(final={400: 1, 401: 1, 402: 1, 403: 1}),
    Client.UNKNOWN: Figures(),
}
"""Exact counts only. Open-ended measurements (Claude Code on 429: at least 7; Copilot CLI: at least
5; Gemini CLI: at least 4) are absent."""

FRAMEWORK_TRIES: Final[Mapping[str, int]] = {"crewai": 3}
"""Frameworks that repeat whatever their SDK reports, by how many times; their requests look like
the SDK's (measured)."""
