"""Requests as they are read from a connection: checked, in order, whoever answers them."""

from abc import ABC, abstractmethod
from collections import deque

import httptools

from ringfence.domain.error import PeerError
from ringfence.transport import framing
from ringfence.transport.framing import Malformed
from ringfence.transport.limits import ServerLimits
from ringfence.transport.message import BODY, IDLE, MessageReader, count_of
from ringfence.transport.repeat import RepeatedHead, learn
from ringfence.transport.request import IncomingRequest

_SLICE_BYTES = 16 * 1024
"""How much is parsed at once where requests may follow each other: bounds the queue."""

_UNLIKE_MOST = 8
"""After so many heads that were all different, this client is taken to send no two alike."""


class RequestReader(MessageReader, ABC):
    """Fills a queue with requests; the last of them may still get its body.

    `_refusal` is why the stream cannot be read on, once what came before is answered; `_is_last`
    whether nothing more is read, since the last request ends it.
    """

    __slots__ = (
        "_host",
        "_incoming",
        "_is_last",
        "_known",
        "_limits",
        "_queue",
        "_refusal",
        "_stripped",
        "_target",
        "_unlike",
        "peer",
    )

    _parser: httptools.HttpRequestParser

    def __init__(self, limits: ServerLimits) -> None:
        """Nothing has come yet."""
        super().__init__(head_limit=limits.header_bytes, count_limit=limits.header_count)
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._host = b"\n"  # equals no Host
        self._queue: deque[IncomingRequest] = deque()
        self._incoming: IncomingRequest | None = None
        self._stripped = b""
        self._known: RepeatedHead | None = None
        self._unlike = 0
        """How many heads in a row were unlike the one before."""
        self._refusal: Malformed | None = None
        self._is_last = False
        self.peer = ""

    def _feed_some(self, data: bytes | memoryview) -> bytes | memoryview:
        """Feed what surely brings few requests; give the rest."""
        is_first = self._state == IDLE and isinstance(data, bytes)
        if is_first and self._known is not None:
            request = self._repeated(bytes(data))
            if request is not None:
                self._queue.append(request)
                return b""
        whole = data
        rest: bytes | memoryview = b""
        if len(data) > _SLICE_BYTES and not (
            self._state == BODY and (self._length or 0) >= len(data)
        ):
            view = memoryview(data)
            data, rest = view[:_SLICE_BYTES], view[_SLICE_BYTES:]
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = self._changed(bytes(data[upgrade.args[0] :]) + bytes(rest))
        if self._parts:
            self._deliver()
        if is_first and self._state == IDLE and not rest:
            self._learn_head(bytes(whole))
        return rest

    def _changed(self, rest: bytes) -> bytes:
        """The parser has stopped at the offer of another protocol, which nobody here takes up."""
        self._parser = httptools.HttpRequestParser(self)
        stripped, self._stripped = self._stripped, b""
        self._feed(stripped)
        return rest

    def _repeated(self, data: bytes) -> IncomingRequest | None:
        """A request whose head is that of one before, taken in without parsing it again."""
        known = self._known
        if known is not None:
            known = known.at(data, self._limits.target_bytes)
        body = known.body_of(data) if known is not None else None
        if known is None or body is None:
            return None
        self._known = known
        self._unlike = 0
        return IncomingRequest.repeated(self, known, body, peer=self.peer)

    def _learn_head(self, data: bytes) -> None:
        """Remember the head of the message that these bytes were, for the next like it."""
        request = self._queue[-1] if self._queue else None
        if (
            request is not None
            and self._begun == 1
            and self._unlike < _UNLIKE_MOST
            and not self._is_last
            and request.may_repeat
        ):
            self._unlike += 1
            self._known = learn(data, request)

    def _deliver(self) -> None:
        data = self._take_parts()
        incoming = self._incoming
        if incoming is not None:
            if self._length is not None:
                self._length -= len(data)
            if not incoming.is_discarded:
                incoming.arrive(data)

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._target += url
        if len(self._target) > self._limits.target_bytes:
            raise Malformed("the request target is too long", status=414)

    def on_headers_complete(self) -> None:
        """Check the head and queue the request."""
        parser = self._parser
        target, self._target = self._target, b""
        pairs, index = self._read_head()
        version = parser.get_http_version()
        self._check_target(parser.get_method(), target)
        if version != "1.1" or self._has_repeats or index.get(b"host") != self._host:
            self._check_host(version, pairs, index)
        expect = index.get(b"expect")
        if expect is not None and expect.lower() != b"100-continue":
            raise Malformed("the expectation is unknown", status=417)
        if parser.should_upgrade() and not self._keeps_offer(parser.get_method(), index):
            self._strip_upgrade(parser.get_method(), target, version, pairs)
            return
        length = self._length
        request = IncomingRequest(
            self,
            method=parser.get_method(),
            target=target,
            version=version,
            headers=pairs,
            index=index,
            has_repeats=self._has_repeats,
            length=0 if length is None and not self._is_chunked else length,
            peer=self.peer,
        )
        request.keep_alive = parser.should_keep_alive()
        request.wants_continue = expect is not None and version == "1.1"
        self._state = BODY
        self._incoming = request
        self._queue.append(request)

    def _check_target(self, _method: bytes, target: bytes) -> None:
        """Whether the target is of a form that is served here. Raises Malformed."""
        framing.check_target(target)

    def _keeps_offer(self, _method: bytes, _index: dict[bytes, bytes]) -> bool:
        """Whether the handler is shown the offer of another protocol."""
        return False

    def _check_host(
        self, version: str, pairs: list[tuple[bytes, bytes]], index: dict[bytes, bytes]
    ) -> None:
        """Check what differs from the request before; a Host that was valid stays valid."""
        framing.check_version(version)
        if self._is_chunked and version == "1.0":
            raise Malformed("HTTP/1.0 knows no transfer coding")
        host = index.get(b"host", b"")
        framing.check_host(count_of(b"host", pairs), host, version)
        self._host = host

    def _strip_upgrade(
        self, method: bytes, target: bytes, version: str, pairs: list[tuple[bytes, bytes]]
    ) -> None:
        """Read an upgrade as the plain request it may be taken for (RFC 9110 section 7.8).

        llhttp would skip the body, so the head is read again without the offer.
        """
        lines = [b"%b: %b\r\n" % pair for pair in pairs if pair[0] != b"upgrade"]
        first = b"%b %b HTTP/%b\r\n" % (method, target, version.encode())
        self._stripped = first + b"".join(lines) + b"\r\n"

    def on_message_complete(self) -> None:
        """Hand over the rest of the body."""
        if self._stripped:
            return
        if self._parts:
            self._deliver()
        self._state = IDLE
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            self._is_last = not incoming.keep_alive
            incoming.finish()

    def _fail(self, fault: Malformed) -> None:
        """The stream of requests ends here; what came before is still answered."""
        self._parts.clear()
        if self._is_last:  # bytes after `Connection: close`
            return
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            self._refusal = fault
            return
        if fault.status == 400 and self._state == BODY:  # noqa: PLR2004 (a status)
            self._is_last = True
            incoming.fail(PeerError("request_malformed", fault.message))
        else:
            self._refusal = fault

    # For the bodies of requests: `body.Source`

    @abstractmethod
    def hold_body(self) -> None:
        """A body's reader is behind."""

    @abstractmethod
    def release_body(self) -> None:
        """A body's reader has caught up."""

    @abstractmethod
    def want_body(self) -> None:
        """Somebody waits for a body."""
