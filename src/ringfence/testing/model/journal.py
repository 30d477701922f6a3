"""What the scripted model received, for tests to look at; values of credentials only as digests."""

import hashlib
from collections import deque
from urllib.parse import parse_qsl

import msgspec

from ringfence.domain.usage import Usage
from ringfence.transport.http import Headers, Request

_KEPT = 1000
_KEPT_BODIES = 100
_CREDENTIALS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
    }
)
_CREDENTIAL_QUERY = frozenset({"key", "access_token", "api_key"})


class Entry(msgspec.Struct, kw_only=True):
    """One request. Credentials are given as `sha256:` and the hex digest of the whole value."""

    number: int
    time_us: int
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body_bytes: int = 0
    body_sha256: str = ""
    dialect: str = ""
    model: str = ""
    stream: bool = False
    user: str = ""
    turn: int = 0
    tools: list[str] = []
    output_limit: int | None = None
    rule: str = ""
    status: int = 0
    usage: Usage | None = None
    """What the answer said it used; None if it said nothing."""
    chunks: int = 0
    """Events sent, when streamed."""
    ending: str = "open"
    """`open`, `whole`, `cut` (by the script) or `client_gone`."""


class Journal:
    """The last requests, oldest first, and how many there were in all."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self._bodies: deque[tuple[int, bytes]] = deque(maxlen=_KEPT_BODIES)
        self.total = 0

    def reset(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bodies.clear()
        self.total = 0

    def open(self, request: Request, time_us: int) -> Entry:
        """Begin the entry of a request that has just come in."""
        self.total += 1
        entry = Entry(
            number=self.total,
            time_us=time_us,
            method=request.method.decode("latin-1"),
            path=request.path.decode("latin-1"),
            query=_shown_query(request.query),
            headers=_shown_headers(request.headers),
        )
        self._entries.append(entry)
        return entry

    def keep(self, entry: Entry, body: bytes) -> None:
        """Keep the body of a request."""
        entry.body_bytes = len(body)
        entry.body_sha256 = hashlib.sha256(body).hexdigest()
        self._bodies.append((entry.number, body))

    @property
    def entries(self) -> list[Entry]:
        """The last requests, oldest first."""
        return list(self._entries)

    def body(self, number: int) -> bytes | None:
        """The body of one of the last requests."""
        return next((body for kept, body in self._bodies if kept == number), None)


def _shown_headers(headers: Headers) -> dict[str, str]:
    """Header values; those of credentials as digests."""
    pairs = ((name.decode("latin-1"), value) for name, value in headers)
    return {
        name: digest(value) if name in _CREDENTIALS else value.decode("latin-1")
        for name, value in pairs
    }


def _shown_query(query: bytes) -> dict[str, str]:
    """Query values; those of credentials as digests."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return {
        name: digest(value.encode()) if name in _CREDENTIAL_QUERY else value
        for name, value in pairs
    }


def digest(value: bytes) -> str:
    """How a credential's value is shown."""
    return "sha256:" + hashlib.sha256(value).hexdigest()
