"""Reading messages from a connection: what a request and an answer have in common."""

import asyncio

import httptools

from ringfence.transport.framing import Malformed

IDLE, HEAD, BODY = range(3)
"""Between messages; inside a head; inside a body or its trailers."""

_NOTED = frozenset((b"content-length", b"transfer-encoding", b"host", b"expect"))

_CHUNK_FRAME_BYTES = 32
"""More than any chunk costs without an extension: 16 digits and two line ends."""

_Parser = httptools.HttpRequestParser | httptools.HttpResponseParser


class MessageReader(asyncio.Protocol):
    """Feeds llhttp and keeps what it says. Subclasses act when a head or a message is complete.

    INVARIANT: no callback of the parser runs foreign code; that happens after the feed.
    """

    __slots__ = (
        "_chunk_frames",
        "_count_limit",
        "_expect",
        "_fault",
        "_head_bytes",
        "_head_limit",
        "_host",
        "_hosts",
        "_is_chunked",
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
        self._parts: list[bytes] = []
        self.on_body = self._parts.append
        self._fault: Malformed | None = None
        self._state = IDLE
        self._raw_head = 0
        self._chunk_frames = 0
        self._overhead = 0
        self._start_head()

    def _start_head(self) -> None:
        self._pairs: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._length: int | None = None
        self._is_chunked = False
        self._expect = b""
        self._host = b""
        self._hosts = 0

    # Called by the parser

    def on_message_begin(self) -> None:
        """The first byte of a message."""
        self._state = HEAD
        self._raw_head = 0
        self._overhead = 0
        self._start_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which is dropped (RFC 9110 section 6.5.1 allows it)."""
        if self._state != HEAD:
            return
        self._head_bytes += len(name) + len(value) + 4
        pairs = self._pairs
        if self._head_bytes > self._head_limit or len(pairs) >= self._count_limit:
            self.refuse(Malformed("the headers are too large", status=431))
        name = name.lower()
        value = value.rstrip(b" \t")
        pairs.append((name, value))
        if name in _NOTED:
            self._note(name, value)

    def on_chunk_header(self) -> None:
        """The size of a chunk is known."""
        self._chunk_frames += 1

    def refuse(self, fault: Malformed) -> None:
        """Stop the parser; `_feed` raises the fault."""
        self._fault = fault
        raise fault

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self._length = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                self.refuse(Malformed("only the transfer coding `chunked` is spoken here"))
            self._is_chunked = True
        elif name == b"host":
            self._hosts += 1
            self._host = value
        else:
            self._expect = value.lower()

    # Called by subclasses

    def _feed(self, data: bytes | memoryview) -> None:
        """Parse; raises Malformed, and HttpParserUpgrade as httptools does."""
        was_in_head = self._state == HEAD
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise
        except httptools.HttpParserError as error:
            raise (self._fault or Malformed(f"the message is not valid HTTP: {error}")) from error
        if self._state == HEAD:
            if was_in_head:
                self._raw_head += len(data)
                if self._raw_head > self._head_limit:
                    raise Malformed("the headers are too large", status=431)
        elif self._is_chunked and self._state == BODY:
            self._limit_overhead(len(data))

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
