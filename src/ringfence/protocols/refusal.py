"""Puts a refusal to a client: status, headers and body, from the table in `refusal_table`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Final

import msgspec

from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code, Reason, Refused, Throttle
from ringfence.protocols.refusal_table import (
    FIGURES,
    LONGEST_WAIT_S,
    QUIRKS,
    ROWS,
    Client,
    Quirk,
)

_NO_QUIRK: Final = Quirk("")
_SERVER_ERROR: Final = 500
_UNAUTHORIZED: Final = 401

# Headers that only one client sends, and how known user agents begin or name themselves. Anybody
# can send these: they decide nothing but the wording of a refusal.
_MARKS: Final = (
    (b"x-codex-turn-metadata", Client.CODEX),
    (b"x-codex-window-id", Client.CODEX),
    (b"x-interaction-type", Client.COPILOT_CLI),
    (b"x-session-affinity", Client.OPENCODE),
)
_AGENTS: Final = (
    (b"agent-sdk/", Client.CLAUDE_AGENT_SDK),
    (b"claude-cli/", Client.CLAUDE_CODE),
    (b"codex", Client.CODEX),
    (b"copilot", Client.COPILOT_CLI),
    (b"opencode/", Client.OPENCODE),
    (b"geminicli", Client.GEMINI_CLI),
    (b"google-genai-sdk/", Client.GOOGLE_GENAI),
    (b"anthropic/", Client.ANTHROPIC_SDK),
    (b"openai/", Client.OPENAI_SDK),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedRefusal:
    """A refusal ready to be sent."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    """The status that one client gets, and after how many seconds it may ask again, if at all."""

    status: int
    retry_after_s: float | None


def recognise(headers: Sequence[tuple[bytes, bytes]]) -> Client:
    """Tell which known client sent a request, from its headers (names in lower case)."""
    found = dict(headers)
    for mark, client in _MARKS:
        if mark in found:
            return client
    client = _by_agent(found.get(b"user-agent", b""))
    if client is Client.UNKNOWN and b"x-stainless-lang" in found:
        # A framework with a name of its own around one of the two SDKs, which behave alike.
        return Client.ANTHROPIC_SDK if b"anthropic-version" in found else Client.OPENAI_SDK
    return client


def render(
    refused: Refused | Reason, dialect: Dialect | None, client: Client, *, is_charged: bool = False
) -> RenderedRefusal:
    """Put a refusal to a client in its dialect; None is a path without one.

    `is_charged` says that the provider may already have charged for the call, so that a retry
    would pay twice and is advised against.
    """
    reason = refused if isinstance(refused, Reason) else refused.reason
    wait_s = refused.retry_after_s if isinstance(refused, Throttle) else None
    answer = _answer(reason.code, client, wait_s=wait_s, is_charged=is_charged)
    body = error_body(dialect, answer.status, reason)
    return RenderedRefusal(status=answer.status, headers=_headers(answer, reason), body=body)


def expected_requests(code: Code, client: Client, *, wait_s: float | None = None) -> int | None:
    """How many requests a client sends in all for one call refused so; None if not known."""
    answer = _answer(code, client, wait_s=wait_s, is_charged=False)
    figures = FIGURES[client]
    known = figures.final if answer.retry_after_s is None else figures.retried
    return known.get(answer.status)


def expected_requests_after_stop(dialect: Dialect, client: Client) -> int | None:
    """How many requests a client sends in all for one call stopped in mid-stream."""
    return FIGURES[client].stop.get(dialect)


def status(reason: Reason) -> int:
    """The status of a reason for a client without quirks; Google's form repeats it in the body."""
    return ROWS[reason.code].status


def error_body(dialect: Dialect | None, status: int, reason: Reason) -> bytes:
    """The error document of a dialect. Codecs give this one.

    In every form `error.ringfence` holds `code` and the facts of the reason, as texts.
    """
    match dialect:
        case Dialect.GEMINI:
            return msgspec.json.encode(_google_error(status, reason))
        case Dialect.MESSAGES | Dialect.COUNT_TOKENS:
            return msgspec.json.encode(_anthropic_error(reason))
        case Dialect.CHAT | Dialect.RESPONSES | Dialect.EMBEDDINGS | None:
            return msgspec.json.encode({"error": openai_error(reason)})


def openai_error(reason: Reason) -> dict[str, object]:
    """The error object of OpenAI's form, also used inside its streams."""
    return {
        "message": reason.message,
        "type": ROWS[reason.code].kind,
        "param": None,
        "code": reason.code.value,
        "ringfence": _facts(reason),
    }


def _anthropic_error(reason: Reason) -> dict[str, object]:
    facts = _facts(reason)
    error = {
        "type": ROWS[reason.code].kind,
        "message": reason.message,
        "code": reason.code.value,
        "ringfence": facts,
    }
    return {"type": "error", "error": error, "request_id": facts.get("action")}


def _google_error(status: int, reason: Reason) -> dict[str, object]:
    # Source: https://google.aip.dev/193 (ErrorInfo carries what programs read).
    facts = _facts(reason)
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason.code.value.upper(),
        "domain": "ringfence",
        "metadata": facts,
    }
    error = {
        "code": status,
        "message": reason.message,
        "status": ROWS[reason.code].google,
        "details": [info],
        "ringfence": facts,
    }
    return {"error": error}


def _facts(reason: Reason) -> dict[str, str]:
    return {"code": reason.code.value, **dict(reason.facts)}


def _answer(code: Code, client: Client, *, wait_s: float | None, is_charged: bool) -> _Answer:
    row = ROWS[code]
    quirk = QUIRKS.get(client, _NO_QUIRK)
    retry_after_s = row.retry_after_s if wait_s is None else wait_s
    is_final = (
        row.retry_after_s is None
        or is_charged
        or (retry_after_s or 0) > LONGEST_WAIT_S
        or (quirk.impatient and row.status >= _SERVER_ERROR)
    )
    if is_final:
        return _Answer(quirk.final.get(row.status, row.status), None)
    return _Answer(row.status, retry_after_s)


def _headers(answer: _Answer, reason: Reason) -> tuple[tuple[bytes, bytes], ...]:
    headers = [(b"content-type", b"application/json")]
    if answer.retry_after_s is None:
        headers.append((b"x-should-retry", b"false"))
    else:
        # Both SDKs read the milliseconds first; everybody else reads whole seconds.
        headers.append((b"retry-after", b"%d" % ceil(answer.retry_after_s)))
        headers.append((b"retry-after-ms", b"%d" % ceil(answer.retry_after_s * 1000)))
    if answer.status == _UNAUTHORIZED:
        headers.append(
            (b"www-authenticate", b'Bearer realm="ringfence"')
        )  # RFC 9110 section 11.6.1
    if reason.code is Code.METHOD_NOT_ALLOWED:
        headers.append((b"allow", dict(reason.facts).get("allow", "POST").encode("ascii")))
    return tuple(headers)


@lru_cache(maxsize=256)
def _by_agent(agent: bytes) -> Client:
    lowered = agent.lower()
    found = (client for mark, client in _AGENTS if mark in lowered)
    return next(found, Client.UNKNOWN)
