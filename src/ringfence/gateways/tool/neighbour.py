"""Requests that belong to another worker of the same plane, handed to it as they came.

A legacy session, and what modern requests share of a server that keeps state, live in one worker.
Any other hands the request over, whole and with the agent's own credential, so that the owner
decides it like any request of its own; nothing has to be trusted between them. The owner's death
ends what it owned: the client is told that its session is over and begins anew.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Final, final

import msgspec

from ringfence.domain.error import RingfenceError
from ringfence.transport.http import Client, Origin, Request, Response, UpstreamResponse

FORWARDED: Final = b"ringfence-forwarded"
"""Marks a request that was handed over: its receiver hands it to nobody else."""
_CONNECT_S: Final = 2.0
_IDLE_S: Final = 3600.0
_STEP_MOST: Final = 64
"""Longer names of workers than any plane has."""


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """Where the workers of a plane find each other: by number, from 1, in one folder."""

    number: int
    count: int
    folder: Path

    def socket(self, number: int) -> Path:
        """Where a worker listens for the others."""
        return self.folder / f"worker-{number}.sock"

    def owner_of(self, session: str) -> int:
        """The worker in whose session's name its number stands; 0 for a name of none."""
        number, separator, _ = session.partition(".")
        is_number = bool(separator) and number.isascii() and number.isdigit()
        return int(number) if is_number and len(number) < _STEP_MOST else 0

    def home_of(self, key: tuple[str, ...]) -> int:
        """The worker that keeps what belongs to this key."""
        digest = hashlib.sha256("\0".join(key).encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count + 1


ALONE: Final = Neighbours(number=1, count=1, folder=Path())


@final
class Forwarder:
    """Hands requests over."""

    def __init__(self, client: Client, neighbours: Neighbours) -> None:
        """One for each worker."""
        self._client = client
        self.neighbours = neighbours

    def is_foreign(self, number: int, request: Request) -> bool:
        """Whether a request is for another worker, and was not handed over already."""
        here = self.neighbours
        if number in {0, here.number} or number > here.count:
            return False
        return all(name != FORWARDED for name, _ in request.headers)

    async def forward(self, number: int, request: Request, response: Response, body: bytes) -> bool:
        """Hand a request over and pass its answer on; False if that worker is not there."""
        origin = Origin(scheme="unix", host=str(self.neighbours.socket(number)), port=0)
        headers = [header for header in request.headers if header[0] != b"host"]
        target = getattr(request, "raw_path", request.path)
        if request.query:
            target = target + b"?" + request.query
        try:
            upstream = await self._client.request(
                origin,
                request.method,
                target,
                [*headers, (FORWARDED, b"%d" % self.neighbours.number)],
                body,
                connect_timeout_s=_CONNECT_S,
                idle_timeout_s=_IDLE_S,
            )
        except RingfenceError:
            return False
        await _Passage(upstream, response).over
        return True


@final
class _Passage:
    """A `transport.http.Sink` that writes to a client."""

    def __init__(self, upstream: UpstreamResponse, response: Response) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._upstream = upstream
        self._response = response
        if response.is_disconnected:
            upstream.close()
            self._done()
            return
        response.start(upstream.status, [*upstream.headers])
        response.on_disconnect(self._left)
        response.on_pause(upstream.pause, upstream.resume)
        upstream.pipe(self)

    def data(self, chunk: bytes) -> None:
        self._response.write(chunk)

    def end(self) -> None:
        self._response.end()
        self._done()

    def failed(self, error: Exception) -> None:
        del error
        self._response.abort()
        self._done()

    def _left(self) -> None:
        self._upstream.close()
        self._done()

    def _done(self) -> None:
        if not self.over.done():
            self.over.set_result(None)
