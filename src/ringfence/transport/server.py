"""The HTTP/1.1 server: where it listens, how it stops."""

import asyncio
import contextlib
import json
import socket
import ssl
from pathlib import Path

from ringfence.transport.connection import Connection
from ringfence.transport.deadline import Sweeper
from ringfence.transport.http import Handle, Headers, Request
from ringfence.transport.limits import ServerLimits
from ringfence.transport.service import Admits, OnError, RenderRefusal, Service
from ringfence.transport.tls import ServerTls
from ringfence.transport.unix_socket import address_of

_TLS_CHECK_S = 10.0
"""How often the certificate's files are looked at."""

_LAST_WORDS_S = 0.5
"""How long what was cancelled may take to say why, for example in the words of its stream."""

_ABORT_S = 5.0
"""How long cancelled handlers may take to end."""


def render_json(_status: int, code: str, message: str) -> tuple[Headers, bytes]:
    """Write a refusal of the engine itself as plain JSON."""
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return ((b"content-type", b"application/json"),), body


class Server:
    """Any number of listeners with one handler.

    The requests of one connection are handled in order. A handler answers at once, or gives a
    coroutine, which becomes a task, or work that goes on by callbacks. One that
    raises is answered with 500 and reported to `on_error`; the engine's own PeerErrors
    `request_malformed` and `request_too_large` become 400 and 413 if the handler leaves them. The
    handler is not cancelled when its client leaves.
    """

    def __init__(
        self,
        handle: Handle,
        *,
        limits: ServerLimits | None = None,
        render_refusal: RenderRefusal = render_json,
        on_error: OnError | None = None,
        admits: Admits | None = None,
    ) -> None:
        """Made inside the running loop. Without `on_error` the loop's exception handler is told.

        `admits` is asked about the port of whoever connects over TCP; everybody is without it.
        """
        loop = asyncio.get_running_loop()
        self._service = Service(
            handle=handle,
            render_refusal=render_refusal,
            on_error=on_error or _tell_loop,
            limits=limits or ServerLimits(),
            loop=loop,
            sweeper=Sweeper(loop),
            admits=admits,
        )
        self._listeners: list[asyncio.Server] = []
        self._certificates: list[ServerTls] = []
        self._timer: asyncio.TimerHandle | None = None

    async def listen(
        self, host: str, port: int, *, tls: ServerTls | None = None, reuse_port: bool = False
    ) -> int:
        """Accept connections; port 0 picks one. Gives the port. Raises OSError."""
        service = self._service
        listener = await service.loop.create_server(
            self._connect,
            host,
            port,
            reuse_port=reuse_port or None,
            backlog=service.limits.backlog,
            ssl=self._watched(tls),
            ssl_handshake_timeout=service.limits.headers_s if tls else None,
        )
        self._listeners.append(listener)
        bound: int = listener.sockets[0].getsockname()[1]
        return bound

    async def listen_on(self, sock: socket.socket, *, tls: ServerTls | None = None) -> None:
        """Accept connections on a bound socket, TCP or Unix, that somebody handed in."""
        service = self._service
        create = (
            service.loop.create_unix_server
            if sock.family == socket.AF_UNIX
            else service.loop.create_server
        )
        listener = await create(
            self._connect,
            sock=sock,
            backlog=service.limits.backlog,
            ssl=self._watched(tls),
            ssl_handshake_timeout=service.limits.headers_s if tls else None,
        )
        self._listeners.append(listener)

    async def listen_unix(self, path: Path) -> None:
        """Accept connections on a Unix socket; its folder decides who may connect."""
        service = self._service
        with address_of(path) as address:
            self._listeners.append(
                await service.loop.create_unix_server(
                    self._connect, address, backlog=service.limits.backlog
                )
            )

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._service.connections)

    def reload_certificates(self) -> None:
        """Offer what the files hold now. Raises UsageError `tls_unusable`, keeping the old."""
        for tls in self._certificates:
            tls.reload()

    async def drain(self, grace_s: float, *, is_answering: bool = False) -> None:
        """Accept no more, let answers in progress end within `grace_s`, then cut the rest.

        What is cut may say why for a moment. With `is_answering` new connections are taken until
        then, one request each, for a handler that tells them so.
        """
        service = self._service
        if self._timer is not None:
            self._timer.cancel()
        if not is_answering:
            self._close_listeners()
        service.drain()
        for connection in tuple(service.connections):
            connection.drain()
        await self._settle(grace_s)
        self._close_listeners()
        if service.works:
            for work in tuple(service.works):
                work.cancel()
            await self._settle(_LAST_WORDS_S)
        service.drain()
        for connection in tuple(service.connections):
            connection.cut()
        await self._settle(_ABORT_S)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

    async def close(self) -> None:
        """Stop at once."""
        await self.drain(0)

    def _connect(self) -> Connection:
        return Connection(self._service)

    async def _settle(self, limit_s: float) -> None:
        """Wait until no connection and no handler is left."""
        service = self._service
        if service.awaited or service.works:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await service.emptied.wait()

    def _watched(self, tls: ServerTls | None) -> ssl.SSLContext | None:
        if tls is None:
            return None
        self._certificates.append(tls)
        if self._timer is None:
            self._check_certificates()
        return tls.context

    def _check_certificates(self) -> None:
        self._timer = self._service.loop.call_later(_TLS_CHECK_S, self._check_certificates)
        for tls in self._certificates:
            try:
                tls.refresh()
            except Exception as error:  # noqa: BLE001 (a bad renewal must not stop the server)
                self._service.on_error(None, error)


def _tell_loop(request: Request | None, error: Exception) -> None:
    where = "certificate" if request is None else "handler"
    asyncio.get_running_loop().call_exception_handler(
        {"message": f"a {where} failed", "exception": error}
    )
