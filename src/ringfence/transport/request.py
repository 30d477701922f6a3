"""One request as a handler receives it."""

from typing import Self

from ringfence.domain.error import PeerError
from ringfence.transport.body import Body, Source
from ringfence.transport.http import Headers
from ringfence.transport.repeat import RepeatedHead


class IncomingRequest(Body):
    """Implements `http.Request`."""

    __slots__ = (
        "_has_repeats",
        "headers",
        "index",
        "is_discarded",
        "keep_alive",
        "memo",
        "method",
        "path",
        "peer",
        "query",
        "raw_path",
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
        self.raw_path, _, self.query = target.partition(b"?")
        self.path = self.raw_path
        self.version = version
        self.headers = headers
        self.peer = peer
        self.keep_alive = True
        self.wants_continue = False
        self.index = index
        self.memo: dict[object, object] | None = None
        self._has_repeats = has_repeats
        self.is_discarded = False

    @classmethod
    def repeated(cls, source: Source, head: RepeatedHead, body: bytes, *, peer: str) -> Self:
        """A request with a head that was checked before, and all of its body."""
        request = cls.__new__(cls)
        Body.__init__(request, source, len(body))
        request.method = head.method
        request.raw_path = request.path = head.path
        request.query = head.query
        request.version = "1.1"
        request.headers = head.headers
        request.peer = peer
        request.keep_alive = True
        request.wants_continue = False
        request.index = head.index
        request.memo = head.memo
        request._has_repeats = False  # noqa: SLF001 (an object of this very class)
        request.is_discarded = False
        request.complete(body)
        return request

    @property
    def may_repeat(self) -> bool:
        """Whether another request may have this head and mean the same, but for its length."""
        index = self.index
        return (
            self.version == "1.1"
            and self.keep_alive
            and not self._has_repeats
            and b"expect" not in index
            and b"upgrade" not in index
            and b"transfer-encoding" not in index
        )

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that occurs exactly once; None if absent."""
        value = self.index.get(name)
        if name == b"content-length" and value is not None and self.memo is not None:
            return b"%d" % (self.length or 0)  # the one line that differs in a repeated head
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
