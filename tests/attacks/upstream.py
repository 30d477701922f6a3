"""A host on loopback with TLS that says `fine`, and keeps every byte that it was sent."""

import base64
import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socket import SHUT_RDWR, create_server, socket

import trustme

_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 section 1.3."""


@dataclass
class Upstream:
    """What came, by connection."""

    port: int
    authority: trustme.CA
    heard: list[bytes] = field(default_factory=list)

    def heads(self) -> list[bytes]:
        """The first line of each request, whatever came between."""
        lines = [line for each in self.heard for line in each.split(b"\r\n")]
        return [line for line in lines if line.endswith((b" HTTP/1.1", b" HTTP/2.0"))]


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Serve until the end."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with create_server(("127.0.0.1", 0)) as listener:
        made = Upstream(listener.getsockname()[1], authority)
        thread = threading.Thread(target=_accept, args=(listener, context, made), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            with suppress(OSError):
                listener.shutdown(SHUT_RDWR)
            thread.join(60)


def _accept(listener: socket, context: ssl.SSLContext, made: Upstream) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(plain, context, made), daemon=True).start()


def _serve(plain: socket, context: ssl.SSLContext, made: Upstream) -> None:
    place = len(made.heard)
    made.heard.append(b"")
    with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
        data = b""
        while piece := connection.recv(65_536):
            made.heard[place] += piece
            data += piece
            while b"\r\n\r\n" in data:
                head, _, data = data.partition(b"\r\n\r\n")
                if b"websocket" in head.lower():
                    connection.sendall(_switching(head) + b"\x81\x02hi")
                    continue
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")


def _switching(head: bytes) -> bytes:
    lines = [line.partition(b": ") for line in head.split(b"\r\n")]
    key = next(value for name, _, value in lines if name.lower() == b"sec-websocket-key")
    proof = base64.b64encode(hashlib.sha1(key + _ACCEPT).digest())  # noqa: S324 (the protocol's)
    first = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    return first + b"sec-websocket-accept: " + proof + b"\r\n\r\n"
