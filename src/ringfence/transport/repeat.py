"""A head that a client sends again, but for its length: recognised without parsing it once more.

SDKs send the same header lines with every request of a connection. Parsing them costs a call from
the parser for each, which was a tenth of a whole model call. What is safe about the short cut:

INVARIANT: llhttp has accepted these very bytes on this connection, as one whole message that ended
where the head and its Content-Length said. Only the digits of that one length may differ, and they
must be plain digits and end exactly with the bytes that have arrived. Anything else is parsed.
"""

import re
from typing import Protocol, final

from ringfence.transport.http import Headers

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})\r\n", re.IGNORECASE)
_NAME = b"\r\ncontent-length"
_DIGITS_MOST = 9


class Head(Protocol):
    """A request as it was parsed."""

    method: bytes
    raw_path: bytes
    query: bytes
    headers: Headers
    index: dict[bytes, bytes]


@final
class RepeatedHead:
    """The head of a request as it came, cut at its length."""

    __slots__ = ("_after", "_before", "headers", "index", "memo", "method", "path", "query")

    def __init__(self, before: bytes, after: bytes, request: Head) -> None:
        """Made by `learn`."""
        self._before = before
        self._after = after
        self.method = request.method
        self.path = request.raw_path
        self.query = request.query
        self.headers = request.headers
        self.index = request.index
        self.memo: dict[object, object] = {}
        """See `http.Request.memo`."""

    def body_of(self, data: bytes) -> bytes | None:
        """The body, if these bytes are the same head with one whole body; else None."""
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        start = len(before)
        end = data.find(b"\r", start, start + _DIGITS_MOST + 1)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(after, end):
            return None
        body = end + len(after)
        return data[body:] if len(data) - body == int(digits) else None


def learn(data: bytes, request: Head) -> RepeatedHead | None:
    """Remember a message that was just parsed from these bytes, if it was just that message.

    The caller has seen that one message began and ended in them, framed by its length, after which
    the connection stays open, and without an expectation or an upgrade.
    """
    end = data.find(b"\r\n\r\n") + 4
    head = data[:end]
    found = _LENGTH.search(head)
    if found is None or head.lower().count(_NAME) != 1 or len(data) - end != int(found[1]):
        return None
    return RepeatedHead(head[: found.start(1)], head[found.end(1) :], request)
