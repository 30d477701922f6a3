"""The first message of a TLS client: which server it wants to speak to.

Sources: RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3 (server name), RFC 7301 (ALPN),
draft-ietf-tls-esni-25 (encrypted client hello).
"""

from typing import Final, final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code

HELLO_BYTES: Final = 64 * 1024
"""Post-quantum key shares make it 2 KiB; Go and OpenSSL refuse more than 64 KiB."""

HANDSHAKE: Final = 0x16
"""The first byte of a connection that speaks TLS."""
_CLIENT_HELLO: Final = 1
_RECORD_HEAD, _RECORD_MOST = 5, 16_384
_MESSAGE_HEAD: Final = 4
_SERVER_NAME, _ALPN, _ENCRYPTED_HELLO = 0, 16, 0xFE0D
_HOST_NAME: Final = 0


class TlsHello(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says before anything is encrypted."""

    server_name: bytes | None = None
    """As it came; None if none is named."""
    protocols: tuple[bytes, ...] = ()
    """What it offers to speak inside (ALPN), the dearest first."""
    is_name_hidden: bool = False
    """Whether another name may stand in an encrypted hello."""


def read_hello(data: bytes) -> TlsHello | None:
    """Read the hello at the beginning of a connection; None while it is not whole.

    Raises PeerError `request_malformed` for anything else.
    """
    return HelloReader().read(data)


@final
class HelloReader:
    """The same as more and more of it comes: no byte is read twice, however it is cut."""

    __slots__ = ("_at", "_left", "_message")

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._message = bytearray()
        self._at = 0
        self._left = 0
        """How much of the present record has not come."""

    def read(self, data: bytes) -> TlsHello | None:
        """Read on; `data` is everything that has come so far. Raises as `read_hello`."""
        message = self._message
        self._take(data)
        if len(message) >= _MESSAGE_HEAD:
            whole = _MESSAGE_HEAD + int.from_bytes(message[1:4])
            if whole > HELLO_BYTES:
                raise _malformed("its hello is too long")
            if len(message) >= whole:
                return _parse(_Reader(bytes(message[_MESSAGE_HEAD:whole])))
        if len(data) > 2 * HELLO_BYTES:
            raise _malformed("its hello is in too many pieces")
        return None

    def _take(self, data: bytes) -> None:
        """Add what the records hold; a hello may be cut into several."""
        message = self._message
        while self._at < len(data):
            if not self._left and not self._begin_record(data):
                return
            part = data[self._at : self._at + self._left]
            message += part
            self._at += len(part)
            self._left -= len(part)
            if message and message[0] != _CLIENT_HELLO:
                raise _malformed("its first message is not a client's hello")

    def _begin_record(self, data: bytes) -> bool:
        """Read the head of a record; whether it was all there, and of the hello."""
        at, message = self._at, self._message
        if data[at] != HANDSHAKE:
            if len(message) >= _MESSAGE_HEAD + int.from_bytes(message[1:4]) > _MESSAGE_HEAD:
                return False  # what follows a whole hello is not its business
            raise _malformed("it does not begin with a TLS handshake")
        if len(data) < at + _RECORD_HEAD:
            return False
        length = int.from_bytes(data[at + 3 : at + 5])
        if data[at + 1] != 3 or not 0 < length <= _RECORD_MOST:  # noqa: PLR2004 (TLS is SSL 3.x)
            raise _malformed("its record is not one of TLS")
        self._at += _RECORD_HEAD
        self._left = length
        return True


class _Reader:
    """Takes fields off a message; raises PeerError where it is too short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        return self._at >= len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise _malformed("its hello is cut")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def field(self, size: int) -> "_Reader":
        """A part whose length is stated in so many bytes."""
        return _Reader(self.take(self.number(size)))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)


def _parse(hello: _Reader) -> TlsHello:
    hello.take(2 + 32)  # version and random
    hello.field(1)  # session
    hello.field(2)  # cipher suites
    hello.field(1)  # compression
    name: bytes | None = None
    protocols: tuple[bytes, ...] = ()
    is_hidden = False
    extensions = _Reader(b"") if hello.is_empty else hello.field(2)
    seen: set[int] = set()
    while not extensions.is_empty:
        kind = extensions.number(2)
        body = extensions.field(2)
        if kind in seen:
            raise _malformed("it says something twice")
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _server_name(body)
        elif kind == _ALPN:
            protocols = _protocols(body)
        elif kind == _ENCRYPTED_HELLO:
            is_hidden = True
    return TlsHello(server_name=name, protocols=protocols, is_name_hidden=is_hidden)


def _server_name(body: _Reader) -> bytes:
    """The one name (RFC 6066: not more than one of a type)."""
    names = body.field(2)
    if names.number(1) != _HOST_NAME:
        raise _malformed("its server name is of an unknown type")
    name = names.field(2).rest()
    if not name or not names.is_empty or not body.is_empty:
        raise _malformed("it does not name exactly one server")
    return name


def _protocols(body: _Reader) -> tuple[bytes, ...]:
    offered = body.field(2)
    found: list[bytes] = []
    while not offered.is_empty:
        found.append(offered.field(1).rest())
    return tuple(found)


def _malformed(why: str) -> PeerError:
    return PeerError(Code.REQUEST_MALFORMED, f"the connection cannot be read: {why}")
