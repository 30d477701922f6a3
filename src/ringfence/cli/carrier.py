"""One request to the control plane over its Unix socket.

Not with `http.client`: what that loads (the parsers of mail, TLS) takes longer than most answers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import httptools

from ringfence.domain.error import UnavailableError
from ringfence.transport import unix_socket

_TIMEOUT_S = 60.0
_CHUNK_BYTES = 65_536

Write = Callable[[bytes], object]
Begin = Callable[[int], Write]
"""Told the status of an answer, says where its body goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One request as it is sent."""

    method: str
    target: str
    body: bytes


class Carrier(Protocol):
    """Takes one request to the control plane's application."""

    def carry(self, order: Order, begin: Begin) -> None:
        """Hand over the answer as it comes. Raises UnavailableError if there is none."""


class SocketCarrier:
    """Speaks HTTP over the Unix socket of a running plane."""

    def __init__(self, address: str) -> None:
        """Connections are made for each request."""
        self._address = address

    def carry(self, order: Order, begin: Begin) -> None:
        """One request on a connection of its own."""
        with unix_socket.make() as connection:
            connection.settimeout(_TIMEOUT_S)
            with _translated():
                connection.connect(self._address)
                connection.sendall(_request(order))
            answer = _Answer(begin)
            while not answer.is_whole:
                with _translated():
                    data = connection.recv(_CHUNK_BYTES)
                answer.feed(data)


class _Answer:
    """An answer as it comes; what `httptools` calls back."""

    def __init__(self, begin: Begin) -> None:
        self.is_whole = False
        self._begin = begin
        self._write: Write | None = None
        self._pieces: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Pass on what these bytes hold. Raises UnavailableError `plane_gone`."""
        try:
            if not data:
                raise _gone()
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise _gone() from error
        # Not from within the parser: what a writer raises would not come through it.
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            if self._write is None:
                self._write = self._begin(self._parser.get_status_code())
            self._write(piece)
        if self.is_whole and self._write is None:
            self._begin(self._parser.get_status_code())

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Nothing follows."""
        self.is_whole = True


def _request(order: Order) -> bytes:
    lines = [f"{order.method} {order.target} HTTP/1.1", "host: localhost", "connection: close"]
    if order.body:
        lines.append("content-type: application/json")
    if order.body or order.method != "GET":
        lines.append(f"content-length: {len(order.body)}")
    return "\r\n".join((*lines, "", "")).encode("ascii") + order.body


def _gone() -> UnavailableError:
    return UnavailableError(
        "plane_gone", "the plane ended before its answer was whole", help="see its log"
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise UnavailableError("plane_silent", "the plane does not answer in time") from error
    except ConnectionError as error:
        raise _gone() from error
    except PermissionError as error:
        raise UnavailableError(
            "plane_closed",
            "the plane belongs to another user",
            help="call it as the user that started it",
        ) from error
