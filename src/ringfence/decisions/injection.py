"""Which of an agent's secrets belong to a request: exact host and port, method, path prefix."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, assert_never
from urllib.parse import unquote_to_bytes

from ringfence.domain.secret import (
    AsBasic,
    InHeader,
    InQuery,
    SecretBinding,
    SecretDefinition,
    SecretLocation,
)

_AMBIGUOUS: Final = re.compile(
    rb"%(?:2[ef]|5c|25|[01][0-9a-f]|7f|3b|3f|23)|//|\\|;|/(?:%20)*\.{1,2}(?:%20)*(?:/|$)|[\x00-\x20\x7f-\xff?#]",
    re.IGNORECASE,
)
"""What servers read in different ways: an encoded slash, dot or percent sign, empty and dot
segments (with spaces, which some leave out), parameters. No secret is added to such a path,
whatever it would mean."""
_OVERLONG: Final = re.compile(rb"[\xc0\xc1]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]|[\xf8\xfc][\x80-\xbf]")
"""How text begins in more bytes than UTF-8 allows for it (RFC 3629 section 10)."""
_PARTS: Final = "/\\;%?#"
_WAYS_UP: Final = frozenset({".", ".."})
_USUAL: Final = re.compile(rb"/[A-Za-z0-9/._~!$&'()*+,=:@-]*")
"""Quick to tell: what has nothing that could be ambiguous but dots and slashes in a row."""

_TAKEN_HEADERS: Final = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
        "api-key",
        "apikey",
        "x-goog-api-key",
        "x-auth-token",
        "x-access-token",
        "x-amz-security-token",
        "private-token",
        "job-token",
        "ocp-apim-subscription-key",
        "authentication",
        "x-authorization",
        "x-api-token",
        "api-token",
        "x-auth-key",
        "x-auth-email",
        "x-session-token",
        "x-vault-token",
        "x-gitlab-token",
        "x-figma-token",
        "x-shopify-access-token",
        "x-rapidapi-key",
        "x-postmark-server-token",
        "x-honeycomb-team",
        "circle-token",
        "fastly-key",
        "dd-api-key",
        "dd-application-key",
        # What makes a server take a request for another than the one that was decided on.
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        # What would let an answer show a secret piece by piece, or in a form that nobody can read.
        "range",
        "if-range",
        "accept-encoding",
        "accept-charset",
        "sec-websocket-extensions",
    }
)
_SECOND_PATHS: Final = frozenset(
    {"destination", "x-amz-copy-source", "x-copy-from", "x-goog-copy-source", "x-ms-copy-source"}
)
"""Headers that name one more path of a server (RFC 4918 section 10.3; object stores): where a
binding holds for some paths alone, a request that it covers must lead to no other. Without the
header it would be another request, such as one that writes an empty object over what is there."""
_TAKEN_PARAMETERS: Final = frozenset(
    {
        "access_token",
        "oauth_token",
        "auth_token",
        "private_token",
        "job_token",
        "api_key",
        "apikey",
        "x_api_key",
        "client_secret",
        "api_token",
        "subscription_key",
        "x_goog_signature",
        "x_goog_credential",
        "x_amz_credential",
        "x_amz_signature",
        "x_amz_security_token",
    }
)
"""Names under which well-known APIs take what proves somebody, and what goes around a binding."""

_TAKEN_PROTOCOLS: Final = (b"openai-insecure-api-key.", b"base64url.bearer.authorization.k8s.io.")
"""How the key of OpenAI's realtime API and a token of Kubernetes are offered as a subprotocol."""
_PROTOCOL_BEFORE: Final = frozenset({b"token", b"bearer", b"authorization"})
"""After these a key is offered as the next, as Deepgram takes it."""

GIVEN_HEADERS: Final = frozenset(
    {
        b"set-cookie",
        b"set-cookie2",
        b"authorization",
        b"x-auth-token",
        b"x-access-token",
        b"x-refresh-token",
        b"x-subject-token",
    }
)
"""With which an answer would hand the agent what proves somebody for longer than this request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One secret, and where in the request it goes."""

    secret: SecretDefinition
    location: SecretLocation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Injected:
    """What happens to a request to a host that some secret of the agent is bound to.

    `here` are all secrets of that host; no `parts` means that nothing is added. What an agent sends
    under the names of `headers` and `parameters` is taken away in any case; these are as
    `header_name` and `parameter_name` give them.
    """

    here: tuple[SecretDefinition, ...]
    parts: tuple[Part, ...]
    headers: frozenset[str]
    parameters: frozenset[str]
    names: tuple[str, ...]
    """The names of the secrets that are added."""
    is_minted: bool
    """Whether anything of that host is got with a secret, and so changes by itself."""
    leads_nowhere_else: bool
    """Whether a secret is added that some header could lead to a path that it is not for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What an agent's secrets have to do with one host and port; see `Injected`."""

    bound: tuple[tuple[SecretDefinition, SecretBinding], ...]
    secrets: tuple[SecretDefinition, ...]
    headers: frozenset[str]
    parameters: frozenset[str]
    has_paths: bool
    """Whether some binding of the host holds for some paths alone."""

    def choose(self, method: bytes, path: bytes) -> Injected:
        """What to add to a request. `path` is raw and without its query.

        Where several secrets go to the same place, the one with the longest path is meant; the
        configuration lets no two be equal.
        """
        chosen: dict[str, tuple[int, Part]] = {}
        for secret, binding in self.bound:
            if covers(binding, method, path):
                slot, length = slot_of(binding.location), len(binding.path)
                if slot not in chosen or chosen[slot][0] < length:
                    chosen[slot] = (length, Part(secret=secret, location=binding.location))
        parts = tuple(part for _, part in chosen.values())
        return Injected(
            here=self.secrets,
            parts=parts,
            headers=self.headers,
            parameters=self.parameters,
            names=tuple(part.secret.name for part in parts),
            is_minted=any(secret.minting is not None for secret in self.secrets),
            leads_nowhere_else=self.has_paths and bool(parts),
        )


def at_host(secrets: Iterable[SecretDefinition], host: str, port: int) -> Here | None:
    """The secrets, of those that an agent may use, that are for a host; None if none is.

    `host` is canonical.
    """
    bound = tuple(
        (secret, binding)
        for secret in secrets
        for binding in secret.bindings
        if binding.host == host and binding.port == port
    )
    if not bound:
        return None
    return Here(
        bound=bound,
        secrets=tuple({secret.name: secret for secret, _ in bound}.values()),
        headers=_TAKEN_HEADERS | _named(bound, InHeader),
        parameters=_TAKEN_PARAMETERS | _named(bound, InQuery),
        has_paths=any(binding.path.rstrip("/") for _, binding in bound),
    )


def covers(binding: SecretBinding, method: bytes, path: bytes) -> bool:
    """Whether a request to the binding's host is one that it speaks of."""
    if binding.methods and method.decode("latin-1") not in binding.methods:
        return False
    return is_plain(path) and _is_under(binding.path.encode(), path)


def is_plain(path: bytes) -> bool:
    """Whether every server reads a path alike."""
    if _USUAL.fullmatch(path) and b"//" not in path and b"/." not in path:
        return True
    return path.startswith(b"/") and _AMBIGUOUS.search(path) is None and _is_plain_text(path)


def _is_plain_text(path: bytes) -> bool:
    """Whether no segment of a path, once unescaped, looks like a way up or gains what parts it.

    Some servers decode longer forms of ASCII than UTF-8 has (`%c0%ae`), or take wide characters for
    plain ones.
    """
    raw = unquote_to_bytes(path)
    if raw.isascii():
        return True
    return _OVERLONG.search(raw) is None and all(map(_is_plain_segment, raw.split(b"/")))


def _is_plain_segment(raw: bytes) -> bool:
    """Whether it is no way up and parts nothing, whichever letters its bytes stand for.

    Bytes that are no UTF-8 are letters to some servers, and nothing at all to others.
    """
    for text in (raw.decode(errors="ignore"), raw.decode("latin-1")):
        plain = unicodedata.normalize("NFKC", text)
        if plain.strip() in _WAYS_UP or any(each in plain for each in _PARTS if each not in text):
            return False
    return True


def _is_under(prefix: bytes, path: bytes) -> bool:
    bare = prefix.rstrip(b"/")
    return path in {prefix, bare} or path.startswith(bare + b"/")


def slot_of(location: SecretLocation) -> str:
    """The place in a request that only one value can take."""
    match location:
        case InHeader(name=name):
            return f"header {name}"
        case InQuery(name=name):
            return f"query {name.lower()}"
        case AsBasic():
            return "header authorization"
        case _ as never:
            assert_never(never)


def header_name(name: bytes) -> str:
    """A header's name as servers may read it: to some, `_` and `-` are one (RFC 3875 4.1.18)."""
    return name.decode("latin-1").lower().replace("_", "-")


def second_path(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The name of a header that names one more path of the server; empty if there is none."""
    return next((name for each, _ in headers if (name := header_name(each)) in _SECOND_PATHS), "")


def subprotocols(value: bytes) -> bytes:
    """What a WebSocket may offer to speak inside, without what would prove somebody."""
    kept: list[bytes] = []
    is_next = False
    for part in value.split(b","):
        name = part.strip()
        is_taken = is_next or name.lower().startswith(_TAKEN_PROTOCOLS)
        is_next = name.lower() in _PROTOCOL_BEFORE
        if name and not (is_taken or is_next):
            kept.append(name)
    return b", ".join(kept)


def parameter_name(name: bytes) -> str:
    """A parameter's name, its escapes undone, as servers may read it.

    PHP makes one character of these, and a list of a name with brackets.
    """
    text = name.decode("latin-1").strip().lower().partition("[")[0]
    return text.replace(".", "_").replace("-", "_").replace(" ", "_")


def _named(
    here: Iterable[tuple[SecretDefinition, SecretBinding]], kind: type[InHeader | InQuery]
) -> frozenset[str]:
    """The names that the bindings of a host use or strip, which may be headers or parameters."""
    names: set[str] = set()
    for _, binding in here:
        names.update(binding.strip)
        if isinstance(binding.location, kind):
            names.add(binding.location.name)
    read = header_name if kind is InHeader else parameter_name
    return frozenset(read(name.encode("latin-1")) for name in names)
