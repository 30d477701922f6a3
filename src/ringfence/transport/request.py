"""One request as a handler receives it."""

from ringfence.domain.error import PeerError
from ringfence.transport.body import Body, Source
from ringfence.transport.http import Headers


class IncomingRequest(Body):
    """Implements `http.Request`."""

    __slots__ = (
        "_has_repeats",
        "_index",
        "headers",
        "is_discarded",
        "keep_alive",
        "method",
        "path",
        "peer",
        "query",
        "version",
        "wants_continue",
    )

    def __init__(  # noqa: PLR0913 (one head has these parts)
        self,
        source: Source,
        *,
        method: bytes,
        target: bytes,
        version: str,
        headers: Headers,
        index: dict[bytes, bytes],
        has_repeats: bool,
        length: int | None,
        peer: str,
    ) -> None:
        """A head that was checked; `index` holds its headers by name."""
        Body.__init__(self, source, length)
        self.method = method
        self.path, _, self.query = target.partition(b"?")
        self.version = version
        self.headers = headers
        self.peer = peer
        self.keep_alive = True
        self.wants_continue = False
        self._index = index
        self._has_repeats = has_repeats
        self.is_discarded = False

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that occurs exactly once; None if absent."""
        value = self._index.get(name)
        if self._has_repeats and sum(1 for known, _ in self.headers if known == name) > 1:
            raise PeerError("request_malformed", f"header `{name.decode()}` occurs more than once")
        return value

    def too_large(self, limit_bytes: int) -> Exception:
        """The error for a body over its reader's limit."""
        return PeerError("request_too_large", f"the body is larger than {limit_bytes} bytes")

    def discard(self) -> None:
        """Nobody wants the rest; read it past."""
        self.is_discarded = True
        self._parts.clear()
        self._release()
