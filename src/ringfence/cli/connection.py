"""Reaching the control plane: over the data folder's socket, or in process if it is stopped."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from ringfence.api import local
from ringfence.cli.carrier import Carrier, Order, SocketCarrier, Write
from ringfence.config.settings import Settings
from ringfence.domain.error import RingfenceError, UnavailableError, UsageError

_PREFIX = "/api/v1"
_PAGE_ITEMS = 1000
_UNAVAILABLE = 503
_FAILED = 400

Query = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which installation, and which of its organisations; None where there is only one."""

    settings: Settings
    organisation: str | None = None


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
        help="start it with `ringfence up`, or name the data folder of one that runs with --data",
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
