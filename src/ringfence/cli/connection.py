"""Reaching the control plane: over the data folder's socket, or in process if it is stopped."""

import http.client
import importlib
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec

from ringfence.api import local
from ringfence.config.settings import Settings
from ringfence.domain.error import RingfenceError, UnavailableError, UsageError

_PREFIX = "/api/v1"
_TIMEOUT_S = 60.0
_CHUNK_BYTES = 65_536
_PAGE_ITEMS = 1000
_UNAVAILABLE = 503
_FAILED = 400

Query = Mapping[str, str | int | None]
Write = Callable[[bytes], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which installation, and which of its organisations; None where there is only one."""

    settings: Settings
    organisation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One request as it is sent."""

    method: str
    target: str
    body: bytes


Begin = Callable[[int], Write]
"""Told the status of an answer, says where its body goes."""


class Carrier(Protocol):
    """Takes one request to the control plane's application."""

    def carry(self, order: Order, begin: Begin) -> None:
        """Hand over the answer as it comes. Raises UnavailableError if there is none."""


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
    next: str | None = None


class _Problem(msgspec.Struct):
    code: str
    message: str
    help: str = ""


class _ErrorBody(msgspec.Struct):
    error: _Problem


class Connection:
    """The control plane's API as commands use it; errors of the API become errors of ours."""

    def __init__(self, carrier: Carrier, place: Place, *, is_running: bool) -> None:
        """Use one carrier for every request."""
        self._carrier = carrier
        self._place = place
        self.is_running = is_running

    def get(self, path: str, **query: str | int | None) -> bytes:
        """The document at a path. Raises RingfenceError, as all of these do."""
        return self._ask("GET", path, query)

    def post(self, path: str, body: object = None) -> bytes:
        """The answer to an order."""
        return self._ask("POST", path, {}, b"" if body is None else msgspec.json.encode(body))

    def delete(self, path: str) -> None:
        """End what stands at a path."""
        self._ask("DELETE", path, {})

    def listing(
        self, path: str, most: int | None = None, **query: str | int | None
    ) -> list[msgspec.Raw]:
        """The items of a listing, page after page; `most` bounds them."""
        items: list[msgspec.Raw] = []
        after: str | None = None
        while True:
            limit = _PAGE_ITEMS if most is None else min(_PAGE_ITEMS, most - len(items))
            page = msgspec.json.decode(
                self._ask("GET", path, {**query, "limit": limit, "after": after}), type=_Page
            )
            items += page.items
            after = page.next
            if after is None or (most is not None and len(items) >= most):
                return items

    def stream(self, path: str, write: Write, **query: str | int | None) -> None:
        """Hand a long answer to `write`, piece by piece; an error is raised, not written."""
        self._ask("GET", path, query, write=write)

    def _ask(
        self, method: str, path: str, query: Query, body: bytes = b"", write: Write | None = None
    ) -> bytes:
        given = {**query, "organisation": self._place.organisation}
        known = {name: value for name, value in given.items() if value is not None}
        target = f"{_PREFIX}{path}" + (f"?{urlencode(known)}" if known else "")
        answer = _Answer(write)
        self._carrier.carry(Order(method=method, target=target, body=body), answer.begin)
        if answer.status >= _FAILED:
            raise _error(answer.status, bytes(answer.kept))
        return bytes(answer.kept)


class _Answer:
    """Keeps an answer, or passes it on; an error is always kept."""

    def __init__(self, write: Write | None) -> None:
        self.status = 0
        self.kept = bytearray()
        self._write = write

    def begin(self, status: int) -> Write:
        self.status = status
        return self.kept.extend if self._write is None or status >= _FAILED else self._write


class SocketCarrier:
    """Speaks HTTP over the Unix socket of a running plane."""

    def __init__(self, address: str) -> None:
        """Connections are made for each request."""
        self._address = address

    def carry(self, order: Order, begin: Begin) -> None:
        """One request on a connection of its own."""
        connection = _LocalConnection(self._address)
        headers = {"content-type": "application/json"} if order.body else {}
        try:
            with _translated():
                connection.request(order.method, order.target, order.body or None, headers)
                response = connection.getresponse()
            write = begin(response.status)
            while chunk := _read(response):
                write(chunk)
        finally:
            connection.close()


def _read(response: http.client.HTTPResponse) -> bytes:
    with _translated():
        return response.read(_CHUNK_BYTES)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise UnavailableError("plane_silent", "the plane does not answer in time") from error
    except (ConnectionError, http.client.HTTPException) as error:
        raise UnavailableError(
            "plane_gone", "the plane ended before its answer was whole", help="see its log"
        ) from error
    except PermissionError as error:
        raise UnavailableError(
            "plane_closed",
            "the plane belongs to another user",
            help="call it as the user that started it",
        ) from error


class _LocalConnection(http.client.HTTPConnection):
    """HTTP on a Unix socket; the host name means nothing there."""

    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._address)


@contextmanager
def connect(place: Place) -> Iterator[Connection]:
    """Reach the running plane, or the stores of one that is stopped. Raises RingfenceError."""
    address = local.address(place.settings.data)
    if local.is_answering(address):
        yield Connection(SocketCarrier(address), place, is_running=True)
        return
    with _open_stopped(place.settings) as carrier:
        yield Connection(carrier, place, is_running=False)


def connect_running(place: Place) -> Connection:
    """Reach the running plane. Raises UnavailableError `plane_not_running`."""
    address = local.address(place.settings.data)
    if not local.is_answering(address):
        raise not_running(place.settings.data)
    return Connection(SocketCarrier(address), place, is_running=True)


def not_running(folder: Path) -> UnavailableError:
    """Nobody answers in this data folder."""
    return UnavailableError(
        "plane_not_running",
        f"no plane is running with data folder `{folder}`",
        help="start it with `ringfence up`",
    )


def _open_stopped(settings: Settings) -> AbstractContextManager[Carrier]:
    # The whole control plane takes half a second to import; a running one makes that needless.
    stopped: Any = importlib.import_module("ringfence.cli.stopped")
    opened: AbstractContextManager[Carrier] = stopped.open_stopped(settings)
    return opened


def _error(status: int, body: bytes) -> RingfenceError:
    family = UnavailableError if status == _UNAVAILABLE else UsageError
    try:
        problem = msgspec.json.decode(body, type=_ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return family("answer_unreadable", f"the plane answered with status {status}")
    return family(problem.code, problem.message, help=problem.help)
