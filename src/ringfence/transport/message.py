"""Reading messages from a connection: what a request and an answer have in common."""

import asyncio

import httptools

from ringfence.transport.framing import Malformed

IDLE, HEAD, BODY = range(3)
"""Between messages; inside a head; inside a body or its trailers."""

_FRAMING = (b"content-length", b"transfer-encoding")

_CHUNK_FRAME_BYTES = 32
_HTTP2 = b"PRI * HTTP/2"
"""How a client begins that takes HTTP/2 for granted (RFC 9113 section 3.4)."""
_ONLY_HTTP1 = (
    "this is HTTP/2, and what is spoken here is HTTP/1.1: tell the client to use that, as"
    " `curl --http1.1` does; what needs HTTP/2, as gRPC does, cannot pass"
)
"""More than any chunk costs without an extension: 16 digits and two line ends."""

_Parser = httptools.HttpRequestParser | httptools.HttpResponseParser


class MessageReader(asyncio.Protocol):
    """Feeds llhttp and keeps what it says. Subclasses act when a head or a message is complete.

    INVARIANT: no callback of the parser runs foreign code; that happens after the feed.
    """

    __slots__ = (
        "_begun",
        "_chunk_frames",
        "_count_limit",
        "_fed",
        "_has_repeats",
        "_head_limit",
        "_is_chunked",
        "_is_split",
        "_length",
        "_overhead",
        "_pairs",
        "_parser",
        "_parts",
        "_raw_head",
        "_state",
        "on_body",
    )

    _parser: _Parser

    def __init__(self, *, head_limit: int, count_limit: int) -> None:
        """The limits hold for the headers of one message."""
        self._head_limit = head_limit
        self._count_limit = count_limit
        self._pairs: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self.on_body = self._parts.append
        self._state = IDLE
        self._length: int | None = None
        self._is_chunked = False
        self._is_split = False
        self._has_repeats = False
        self._begun = 0
        self._fed = 0
        self._raw_head = 0
        self._chunk_frames = 0
        self._overhead = 0

    # Called by the parser

    def on_message_begin(self) -> None:
        """The first byte of a message."""
        self._state = HEAD
        self._begun += 1
        self._raw_head = 0
        self._overhead = 0
        self._pairs = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which goes nowhere (RFC 9110 section 6.5.1 allows it)."""
        self._pairs.append((name.lower(), value.rstrip(b" \t")))

    def on_chunk_header(self) -> None:
        """The size of a chunk is known."""
        self._chunk_frames += 1

    # Called by subclasses

    def _read_head(self) -> tuple[list[tuple[bytes, bytes]], dict[bytes, bytes]]:
        """Give the headers, in order and by name, and learn how the body is framed."""
        pairs, self._pairs = self._pairs, []
        if len(pairs) > self._count_limit or (
            (self._is_split or self._fed > self._head_limit)
            and sum(len(name) + len(value) + 4 for name, value in pairs) > self._head_limit
        ):
            raise Malformed("the headers are too large", status=431)
        index = dict(pairs)
        self._has_repeats = len(index) != len(pairs)
        if self._has_repeats and any(count_of(name, pairs) > 1 for name in _FRAMING):
            raise Malformed("the length of the body is stated twice")
        length = index.get(b"content-length")
        self._length = None if length is None else int(length)
        coding = index.get(b"transfer-encoding")
        self._is_chunked = coding is not None
        if coding is not None and coding.lower() != b"chunked":
            raise Malformed("only the transfer coding `chunked` is spoken here")
        return pairs, index

    def _feed(self, data: bytes | memoryview) -> None:
        """Parse; raises Malformed, and HttpParserUpgrade as httptools does."""
        before = self._state
        self._is_split = before == HEAD
        self._begun = 0
        self._fed = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, Malformed):  # raised in a callback
                raise error.__context__ from None
            if bytes(data[: len(_HTTP2)]) == _HTTP2:
                raise Malformed(_ONLY_HTTP1, status=505) from error
            raise Malformed(f"the message is not valid HTTP: {error}") from error
        if self._state == HEAD:
            self._limit_head(before)
        elif self._is_chunked and self._state == BODY:
            self._limit_overhead(len(data))

    def _limit_head(self, before: int) -> None:
        """Count what was fed of a head that has not ended, where that is surely known."""
        if (before == HEAD and self._begun == 0) or (before == IDLE and self._begun == 1):
            self._raw_head += self._fed
            if self._raw_head > self._head_limit:
                raise Malformed("the headers are too large", status=431)

    def _limit_overhead(self, fed: int) -> None:
        """Chunk extensions and trailers are dropped; without a limit they would never end."""
        body = sum(map(len, self._parts))
        frames = self._chunk_frames * _CHUNK_FRAME_BYTES
        self._chunk_frames = 0
        self._overhead = max(0, self._overhead + fed - body - frames)
        if self._overhead > 2 * self._head_limit:
            raise Malformed("the chunk extensions are too large")

    def _take_parts(self) -> bytes:
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return data


def count_of(name: bytes, pairs: list[tuple[bytes, bytes]]) -> int:
    """How often a header occurs."""
    return sum(1 for known, _ in pairs if known == name)
