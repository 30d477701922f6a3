"""A head that a client sends again, but for its length or its target: recognised without parsing.

SDKs send the same header lines with every request of a connection. Parsing them costs a call from
the parser for each, which was a tenth of a whole model call. What is safe about the short cut:

INVARIANT: llhttp has accepted these very lines on this connection, as one whole message that ended
where the head and its Content-Length, if it has one, said. Only the digits of that one length may
differ, which must be plain digits and end exactly with the bytes that have arrived, and the target,
which must be a path of visible characters before and after. Anything else is parsed.
"""

import re
from typing import Final, Protocol, final

from ringfence.transport.http import LINES, Headers

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})\r\n", re.IGNORECASE)
_NAME: Final = b"\r\ncontent-length"
_DIGITS_MOST: Final = 9
_VERSION: Final = b" HTTP/1.1\r\n"
_PATH: Final = re.compile(rb"/[!\"$-~]*")
"""What llhttp takes for a path and a query, and `framing.check_target` for one without fragment."""


class Head(Protocol):
    """A request as it was parsed."""

    method: bytes
    headers: Headers
    index: dict[bytes, bytes]


@final
class RepeatedHead:
    """The head of a request as it came, cut at its target and at its length."""

    __slots__ = (
        "_after",
        "_lines",
        "_method",
        "_start",
        "headers",
        "index",
        "memo",
        "method",
        "path",
        "query",
    )

    def __init__(self, head: Head, target: bytes, lines: bytes, after: bytes) -> None:
        """`lines` come after the target, up to the digits of its length; `after` follow these."""
        self.method = head.method
        self.headers = head.headers
        self.index = head.index
        self.path, _, self.query = target.partition(b"?")
        self._method = head.method + b" "
        self._lines = lines
        self._after = after
        self._start = self._method + target + lines
        self.memo: dict[object, object] = {LINES: {}}
        """See `http.Request.memo`."""

    def at(self, data: bytes, target_bytes: int) -> "RepeatedHead | None":
        """The head that these bytes begin with, if it is this one or has another target at most."""
        if data.startswith(self._start):
            return self
        start = len(self._method)
        end = data.find(b" ", start, start + target_bytes + 1)
        if end < 0 or not (data.startswith(self._lines, end) and data.startswith(self._method)):
            return None
        target = data[start:end]
        if not (_PATH.fullmatch(target) and self.path.startswith(b"/")):
            return None
        other = RepeatedHead(self, target, self._lines, self._after)
        other.memo[LINES] = self.memo[LINES]
        return other

    def body_of(self, data: bytes) -> bytes | None:
        """The body, if these bytes are this head with one whole body; else None."""
        start = len(self._start)
        if not data.startswith(self._start):
            return None
        if not self._after:
            return b"" if len(data) == start else None
        end = data.find(b"\r", start, start + _DIGITS_MOST + 1)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._after, end):
            return None
        body = end + len(self._after)
        return data[body:] if len(data) - body == int(digits) else None


def learn(data: bytes, request: Head) -> RepeatedHead | None:
    """Remember a message that was just parsed from these bytes, if it was just that message.

    The caller has seen that one message began and ended in them, after which the connection stays
    open, and without an expectation, an upgrade or a transfer coding.
    """
    end = data.find(b"\r\n\r\n") + 4
    head = data[:end]
    start = len(request.method) + 1
    cut = head.find(b" ", start)
    if not (head.startswith(request.method + b" ") and head.startswith(_VERSION, cut)):
        return None
    target, lengths = head[start:cut], head.lower().count(_NAME)
    if lengths == 0 and len(data) == end:
        return RepeatedHead(request, target, head[cut:], b"")
    found = _LENGTH.search(head)
    if found is None or lengths != 1 or len(data) - end != int(found[1]):
        return None
    return RepeatedHead(request, target, head[cut : found.start(1)], head[found.end(1) :])
