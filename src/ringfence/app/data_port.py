"""Where agents connect to one worker: it listens, and drains."""

import asyncio
import socket
from pathlib import Path
from typing import final

from ringfence.app.group import Place
from ringfence.domain.error import UsageError
from ringfence.gateways.answer import engine_refusal
from ringfence.transport.http import Handle
from ringfence.transport.server import Server
from ringfence.transport.tls import ServerTls


@final
class DataPort:
    """The listener of one process. Made inside its running loop."""

    def __init__(self, handle: Handle) -> None:
        """Nothing is open yet."""
        self._server = Server(handle, render_refusal=engine_refusal)

    async def listen(self, place: Place, *, is_shared: bool = False) -> int:
        """Accept agents; gives the port. A shared port is that of every worker of the plane.

        Raises UsageError `port_taken`, `tls_unusable`.
        """
        tls = tls_of(place)
        try:
            return await self._server.listen(place.host, place.port, tls=tls, reuse_port=is_shared)
        except OSError as error:
            raise port_taken(place, error) from error

    async def listen_unix(self, path: Path) -> None:
        """Accept other workers of the plane. The folder decides who that can be."""
        await asyncio.to_thread(path.unlink, missing_ok=True)
        await self._server.listen_unix(path)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._server.connections

    async def drain(
        self, grace_s: float, hurry: asyncio.Event, *, is_answering: bool = False
    ) -> None:
        """Accept no more and let running answers end for so long, or until `hurry`.

        With `is_answering` agents are accepted meanwhile, for a handler that refuses them.
        """
        draining = asyncio.create_task(self._server.drain(grace_s, is_answering=is_answering))
        hurrying = asyncio.create_task(hurry.wait())
        await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            await self._server.close()
        hurrying.cancel()
        await draining


def tls_of(place: Place) -> ServerTls | None:
    """The certificate to serve with, if any. Raises UsageError `tls_unusable`."""
    if not place.tls_cert:
        return None
    return ServerTls(Path(place.tls_cert), Path(place.tls_key))


def reserve(place: Place) -> socket.socket:
    """Hold a port that several workers will share, without listening; port 0 picks one.

    Workers of one user may all listen on it (SO_REUSEPORT), so whether somebody else already does
    is found out first, by asking for it alone. Raises UsageError `port_taken`.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM
        )[0]
        if place.port:
            with socket.socket(family, socket.SOCK_STREAM) as alone:
                alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                alone.bind(address)
                alone.listen(1)
        held = socket.socket(family, socket.SOCK_STREAM)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(address)
        except OSError:
            held.close()
            raise
    except OSError as error:
        raise port_taken(place, error) from error
    return held


def port_taken(place: Place, error: OSError) -> UsageError:
    """The error for an address that cannot be listened on."""
    return UsageError(
        "port_taken",
        f"cannot listen on `{place.host}:{place.port}`: {error.strerror}",
        help="stop what uses the port, or choose another with --port",
    )
