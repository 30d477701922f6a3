"""Serving the control plane: a TCP port for people's programs, a Unix socket for the operator."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ringfence.api import local
from ringfence.api.access import LISTENER, LocalListener, NetworkListener
from ringfence.domain.error import UsageError
from ringfence.transport import unix_socket

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_GRACE_S = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The TCP port. `hosts` are further names it is addressed by, with a port if it differs.

    `tls` is a ready server context; None serves plain HTTP.
    """

    host: str
    port: int
    hosts: frozenset[str] = frozenset()
    tls: ssl.SSLContext | None = None


class ControlServer:
    """Both listeners inside a running event loop; signals are left to whoever owns the loop."""

    def __init__(
        self,
        app: ASGIApp,
        endpoint: Endpoint,
        folder: Path,
        *,
        operators: frozenset[int] | None = None,
    ) -> None:
        """Nothing is opened yet. `operators` are user ids; by default our own and root."""
        self._app = app
        self._endpoint = endpoint
        self._folder = folder
        self._operators = operators if operators is not None else frozenset({os.geteuid(), 0})
        self._running: list[tuple[_Server, asyncio.Task[None]]] = []
        self.port = endpoint.port

    async def start(self) -> None:
        """Open both listeners; they answer when this returns.

        Raises UsageError `plane_running`, `port_taken`, `host_unusable` or `socket_path_too_long`.
        """
        local_socket = local.bind(self._folder)
        try:
            network_socket = _bind(self._endpoint)
        except BaseException:
            local_socket.close()
            self._unlink()
            raise
        self.port = network_socket.getsockname()[1]
        scheme = "http" if self._endpoint.tls is None else "https"
        authorities = _authorities(self._endpoint, self.port, scheme)
        listener = NetworkListener(authorities=authorities, scheme=scheme)
        protocol = partial(_LocalProtocol, operators=self._operators)
        await self._serve(self._app, local_socket, protocol, None)
        await self._serve(
            mark(self._app, listener), network_socket, HttpToolsProtocol, self._endpoint.tls
        )

    async def stop(self) -> None:
        """Let running requests end, for a few seconds, and close both listeners."""
        for server, _ in self._running:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in self._running))
        if self._running:
            self._unlink()
        self._running.clear()

    async def _serve(
        self,
        app: ASGIApp,
        bound: socket.socket,
        protocol: Callable[..., asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=protocol,  # type: ignore[arg-type] # it is only ever called
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        config.load()
        config.ssl = tls
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[bound]), name="control")
        self._running.append((server, task))
        await server.ready.wait()

    def _unlink(self) -> None:
        Path(local.address(self._folder)).unlink(missing_ok=True)


def mark(app: ASGIApp, listener: LocalListener | NetworkListener) -> ASGIApp:
    """Tell the application by which listener its requests come."""

    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        scope[LISTENER] = listener
        await app(scope, receive, send)

    return marked


class _Server(uvicorn.Server):
    """A server that leaves signals alone and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class _LocalProtocol(HttpToolsProtocol):
    """HTTP on the Unix socket, for the plane's own user and for root."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        operators: frozenset[int],
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._operators = operators

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # The transport's own socket object may be a stand-in without `getsockopt`.
        descriptor = transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            uid = unix_socket.peer_uid(connection)
        if uid is not None and uid not in self._operators:
            transport.abort()
            return
        self.app = mark(self.app, LocalListener(uid))


def _bind(endpoint: Endpoint) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, where = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _unusable(endpoint, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(where)
    except OSError as error:
        bound.close()
        raise _unusable(endpoint, error) from error
    bound.setblocking(False)  # noqa: FBT003 (the standard library's own name has no keyword)
    return bound


def _unusable(endpoint: Endpoint, error: OSError) -> UsageError:
    place = f"{endpoint.host}:{endpoint.port}"
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            "port_taken",
            f"port {endpoint.port} on {endpoint.host} is already in use",
            help="stop what uses it, or choose another with --console-port",
        )
    return UsageError(
        "host_unusable",
        f"cannot listen on `{place}`: {error.strerror}",
        help="choose an address of this machine with --console-host",
    )


def _authorities(endpoint: Endpoint, port: int, scheme: str) -> frozenset[str]:
    names = {*_LOOPBACK, *(_bracketed(name.lower()) for name in endpoint.hosts)}
    complete = {name if _has_port(name) else f"{name}:{port}" for name in names}
    if port == _DEFAULT_PORTS[scheme]:
        complete |= {name for name in names if not _has_port(name)}
    return frozenset(complete)


def _bracketed(name: str) -> str:
    """A bare IPv6 address as it stands in a `Host`. Source: RFC 3986 section 3.2.2."""
    return f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name


def _has_port(name: str) -> bool:
    return ":" in name.rpartition("]")[2]
