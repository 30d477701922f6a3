"""Which headers and query parameters pass the model gateway, and what the others tell us.

Everything that is not listed is dropped: no header, and no parameter, can choose an upstream, a
payer or an identity (I6). Header names are lower case.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NoReturn, TypeAlias
from urllib.parse import parse_qsl, quote_plus

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.invocation import Grouping
from ringfence.domain.model import Dialect, ProviderProtocol
from ringfence.domain.verdict import Code

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

_EVERYWHERE: Final = frozenset({b"accept", b"user-agent"})
_JSON: Final = (b"content-type", b"application/json")

PASSED_TO_PROVIDER: Final[dict[ProviderProtocol, frozenset[bytes]]] = {
    ProviderProtocol.OPENAI: _EVERYWHERE,
    ProviderProtocol.ANTHROPIC: _EVERYWHERE | {b"anthropic-version"},
    ProviderProtocol.GEMINI: _EVERYWHERE | {b"x-server-timeout"},
}
"""Request headers that pass as they are. Known headers that do not, and why:

- `authorization`, `x-api-key`, `x-goog-api-key`, `cookie`: the agent's credentials.
- `openai-organization`, `openai-project`, `x-goog-user-project`, `anthropic-user-profile-id`,
  `anthropic-workspace-id`: choose who pays.
- `idempotency-key`: agents share the provider's account, so one could read another's answer by
  using its key.
- `x-stainless-*`, `x-goog-api-client`, `x-app`, client ids: describe the agent's machine and run;
  no answer depends on them.
- `traceparent`, `tracestate`, `baggage`: ours; they would tie the provider's spans to ours.
- `content-type`: every body was read as JSON in UTF-8 here, so that is what the provider is told.
- `accept-encoding`: the gateway asks for `identity`, since it reads what passes.
"""

BETA_HEADERS: Final = {b"anthropic-beta", b"openai-beta"}
"""Lists of beta features; of each only the configured ones pass."""

PASSED_TO_CLIENT: Final = frozenset(
    {
        b"content-type",
        b"openai-model",
        b"openai-processing-ms",
        b"openai-version",
        b"request-id",
        b"retry-after",
        b"retry-after-ms",
        b"x-request-id",
        b"x-should-retry",
    }
)
PASSED_TO_CLIENT_PREFIXES: Final = (b"anthropic-ratelimit-", b"x-ratelimit-")
"""Response headers that pass. `set-cookie`, `server`, organisation names, framing and hop-by-hop
headers do not."""

PASSED_PARAMETERS: Final[dict[Dialect, dict[str, frozenset[str]]]] = {
    Dialect.MESSAGES: {"beta": frozenset({"true"})},
    Dialect.COUNT_TOKENS: {"beta": frozenset({"true"})},
    Dialect.GEMINI: {"alt": frozenset({"sse", "json"})},
}
"""Query parameters that pass, with the values they may have. Not among them: `api-version` (the
provider's configuration sets it) and Google's `fields` (would hide usage from us)."""

SECRET_PARAMETERS: Final = frozenset({"key", "api_key", "api-key", "access_token", "token"})
"""Refused: what stands in a URL is written into logs on the way."""

MAX_ID_CHARACTERS: Final = 200

_BEARER: Final = b"bearer "
_KEY_HEADERS: Final = (b"x-api-key", b"x-goog-api-key")
ON_BEHALF_OF: Final = b"ringfence-on-behalf-of"
"""A proof of the user for whom an agent makes this call. It is a credential: like everything that
is not listed above it never passes, and it is never written down."""
_SINGLE: Final = frozenset(
    {
        ON_BEHALF_OF,
        b"authorization",
        b"content-encoding",
        b"content-type",
        b"ringfence-invocation",
        b"traceparent",
        b"anthropic-version",
        b"x-codex-turn-metadata",
        *_KEY_HEADERS,
    }
)
_CLIENT_ID_HEADERS: Final = (
    # One prompt of a person is one invocation, so the finer id comes first.
    b"x-claude-code-prompt-id",
    b"x-claude-code-session-id",
    b"session-id",
    b"thread-id",
    b"x-session-id",
)
_ID_HEADERS: Final = frozenset(
    {b"ringfence-invocation", b"traceparent", b"x-codex-turn-metadata", *_CLIENT_ID_HEADERS}
)
_TRACEPARENT_PARTS: Final = 4
_TRACE_ID_DIGITS: Final = 32


class _CodexTurn(msgspec.Struct):
    """What is read of Codex's `x-codex-turn-metadata`."""

    root_turn_id: str = ""
    turn_id: str = ""


_codex_turn: Final = msgspec.json.Decoder(_CodexTurn)


def check(headers: Headers) -> Collection[bytes]:
    """Refuse what two readers could understand differently.

    Gives the names of those headers that it found of the ones that may occur once.
    Raises PeerError `request_malformed` if a header that governance reads occurs twice, or if the
    body is in an encoding that is not decoded here.
    """
    seen: set[bytes] = set()
    for name, value in headers:
        if name in _SINGLE:
            if name in seen:
                _refuse(f"the header `{name.decode()}` occurs more than once")
            seen.add(name)
            if name == b"content-encoding" and value.lower() != b"identity":
                _refuse("the body must not be compressed (`content-encoding`)")
    return seen


def credential(headers: Headers) -> str | None:
    """The one credential of a request; None if it has none.

    Raises PeerError `credential_ambiguous` for two different ones, `credential_unknown` for a form
    that is none of ours. No error holds a credential.
    """
    found: set[bytes] = set()
    for name, value in headers:
        if name == b"authorization":
            if value and value[: len(_BEARER)].lower() != _BEARER and value.lower() != b"bearer":
                message = "the `authorization` header is not of the form `Bearer …`"
                raise PeerError(Code.CREDENTIAL_UNKNOWN, message)
            found.add(value[len(_BEARER) :].strip())
        elif name in _KEY_HEADERS:
            found.add(value)
    found.discard(b"")
    if len(found) > 1:
        message = "the request carries two different credentials; send one"
        raise PeerError(Code.CREDENTIAL_AMBIGUOUS, message)
    return found.pop().decode("latin-1") if found else None


def to_provider(
    headers: Headers, protocol: ProviderProtocol, betas: Collection[str]
) -> list[tuple[bytes, bytes]]:
    """The request headers that pass, in order; beta features only if they are in `betas`.

    The type of the body is always JSON, whatever the client called it.
    """
    allowed = PASSED_TO_PROVIDER[protocol]
    passed = [_JSON]
    for header in headers:
        name, value = header
        if name in allowed:
            passed.append(header)
        elif betas and name in BETA_HEADERS:
            wanted = [beta.strip() for beta in value.decode("latin-1").split(",")]
            kept = [beta for beta in wanted if beta in betas]
            if kept:
                passed.append((name, ",".join(kept).encode("latin-1")))
    return passed


def to_client(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The response headers that pass, in order."""
    return [
        header
        for header in headers
        if header[0] in PASSED_TO_CLIENT or header[0].startswith(PASSED_TO_CLIENT_PREFIXES)
    ]


def query_to_provider(query: bytes, dialect: Dialect, *, is_stream: bool = False) -> bytes:
    """The query parameters that pass, without the question mark.

    `is_stream` says that the path itself asks for a stream. Gemini then answers with one long JSON
    array unless asked for events; an array cannot be stopped cleanly, so events are demanded.
    Raises PeerError `request_malformed` for a credential in the URL, a parameter given twice or a
    value that a passing parameter cannot have.
    """
    passed = _passing_parameters(query, PASSED_PARAMETERS.get(dialect, {})) if query else {}
    if is_stream and dialect is Dialect.GEMINI and passed.get("alt") != "sse":
        _refuse("`streamGenerateContent` is served as events only; add `?alt=sse`")
    return "&".join(f"{name}={quote_plus(value)}" for name, value in passed.items()).encode()


def _passing_parameters(query: bytes, allowed: Mapping[str, frozenset[str]]) -> dict[str, str]:
    passed: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name.lower() in SECRET_PARAMETERS:
            _refuse(f"credentials in the URL (`{name}`) are refused: URLs are logged; use a header")
        if name not in allowed:
            continue
        if name in passed:
            _refuse(f"the query parameter `{name}` occurs more than once")
        if value not in allowed[name]:
            _refuse(f"the query parameter `{name}` must be {' or '.join(sorted(allowed[name]))}")
        passed[name] = value
    return passed


def client_ids(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Ids by which a request names its run: pairs of source and id, the one to use first.

    The sources are `ringfence-invocation`, `traceparent` (its trace id), `codex-turn` and names of
    headers; `grouping` says what kind of word each is. Ids only correlate, they prove nothing.
    Raises PeerError `request_malformed` if our own header cannot be an id; other clients' odd
    values are passed over.
    """
    given = dict(headers)
    if given.keys().isdisjoint(_ID_HEADERS):
        return ()
    ids: list[tuple[str, str]] = []
    own = given.get(b"ringfence-invocation")
    if own is not None:
        if not is_id(own):
            _refuse("the header `ringfence-invocation` is not an id")
        ids.append(("ringfence-invocation", own.decode()))
    trace = _trace_id(given.get(b"traceparent", b""))
    if trace:
        ids.append(("traceparent", trace))
    turn = _turn(given)
    if turn and (turn.root_turn_id or turn.turn_id):
        ids.append(("codex-turn", turn.root_turn_id or turn.turn_id))
    ids += [
        (name.decode(), given[name].decode())
        for name in _CLIENT_ID_HEADERS
        if is_id(given.get(name, b""))
    ]
    return tuple(ids)


def turn_hints(metadata: bytes) -> tuple[tuple[str, str], ...]:
    """The turn that Codex names in raw turn metadata, as `client_ids` gives it."""
    turn = _turn({b"x-codex-turn-metadata": metadata})
    named = "" if turn is None else turn.root_turn_id or turn.turn_id
    return (("codex-turn", named),) if named else ()


def grouping(source: str) -> Grouping:
    """What a source of `client_ids` groups by."""
    known = {"ringfence-invocation": Grouping.HEADER, "traceparent": Grouping.TRACEPARENT}
    return known.get(source, Grouping.CLIENT)


def _turn(given: dict[bytes, bytes]) -> _CodexTurn | None:
    metadata = given.get(b"x-codex-turn-metadata")
    if not metadata:
        return None
    try:
        turn = _codex_turn.decode(metadata)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    ids = (turn.root_turn_id, turn.turn_id)
    return turn if all(not part or is_id(part.encode()) for part in ids) else None


def _trace_id(traceparent: bytes) -> str:
    """The trace id of a valid header, else an empty text (W3C Trace Context section 3.2)."""
    parts = traceparent.decode("latin-1").split("-")
    if len(parts) < _TRACEPARENT_PARTS or parts[0] == "ff":
        return ""
    trace = parts[1]
    is_hex = len(trace) == _TRACE_ID_DIGITS and not trace.strip("0123456789abcdef")
    return trace if is_hex and trace.strip("0") else ""


def is_id(value: bytes) -> bool:
    """Whether a value can be an id by which somebody names a run."""
    is_short = 0 < len(value) <= MAX_ID_CHARACTERS
    return is_short and value.isascii() and value.decode().isprintable()


def _refuse(message: str) -> NoReturn:
    raise PeerError(Code.REQUEST_MALFORMED, message)
