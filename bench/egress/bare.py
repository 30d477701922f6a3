"""The interceptor alone: our engine and TLS on both sides, nothing decided, searched or recorded.

    python -m bench.egress.bare --port PORT --authority FILE --folder DIR

What remains of a request when everything that governs it is taken away: the floor for this engine
on this machine. It adds the credential, as the others do. Prints what `gateway` prints.
"""

import argparse
import asyncio
import signal
import socket
from functools import partial
from pathlib import Path

import uvloop
from bench.egress.upstream import CREDENTIAL

from ringfence.app.interpreter import freeze
from ringfence.transport.certificate import SandboxAuthority
from ringfence.transport.client import Pool
from ringfence.transport.clock import SystemClock
from ringfence.transport.deadline import Sweeper
from ringfence.transport.greeting import Greeting
from ringfence.transport.http import Handle, Origin, Request, Response, UpstreamResponse
from ringfence.transport.interception import InterceptedConnection
from ringfence.transport.limits import ServerLimits
from ringfence.transport.reply import Reply
from ringfence.transport.resolver import Resolver
from ringfence.transport.server import render_json
from ringfence.transport.service import Service
from ringfence.transport.tls import client_context
from ringfence.transport.tls_stream import TlsStream

_OWN = (b"authorization", f"Bearer {CREDENTIAL}".encode())
_HOST = "localhost"


class _Pass:
    """One request on its way, and its answer, which comes in one piece."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._parts: list[bytes] = []

    def answered(self, upstream: UpstreamResponse) -> None:
        self._upstream = upstream
        whole = upstream.at_once()
        if whole is None:
            upstream.pipe(self)
        else:
            self._parts.append(whole)
            self.end()

    def unanswered(self, error: Exception) -> None:
        raise SystemExit(f"the host does not answer: {error}")

    def data(self, chunk: bytes) -> None:
        self._parts.append(chunk)

    def end(self) -> None:
        upstream = self._upstream
        kept = [pair for pair in upstream.headers if pair[0] != b"content-length"]
        self._response.send(upstream.status, kept, b"".join(self._parts))
        self.over = True
        self._tell(self)

    def failed(self, error: Exception) -> None:
        raise SystemExit(f"the answer broke off: {error}")

    # As work of the server

    is_over = False

    def when_over(self, tell: object) -> None:
        self._tell = tell  # type: ignore[assignment] # what the server gives

    def _tell(self, _work: object) -> None:
        """Nobody waits."""

    def cancel(self) -> None:
        """It is never stopped."""


def serve_with(service: Service, pool: Pool, authority: SandboxAuthority, port: int) -> Handle:
    """Answers CONNECT with TLS, and the requests in it."""
    origin = Origin(scheme="https", host=_HOST, port=port)

    def forward(request: Request, response: Response) -> _Pass:
        kept = [pair for pair in request.headers if pair[0] != b"host"]
        prepared = pool.prepare(
            origin,
            request.method,
            request.path + b"?" + request.query,
            [*kept, _OWN],
            connect_timeout_s=10,
            idle_timeout_s=60,
        )
        passing = _Pass(response)
        pool.send(prepared, b"", passing)
        return passing

    def intercept(greeting: Greeting, data: bytes) -> None:
        above = InterceptedConnection(service, lambda _: forward, is_proxy=False, is_known=True)
        below = greeting.take()
        leaf = authority.leaf(_HOST)
        TlsStream(below, leaf, above, service=service, failed=print).begin(data)

    def connect(_request: Request, response: Response) -> None:
        if isinstance(response, Reply):
            transport, early = response.hand_over(b"HTTP/1.1 200 Connection established\r\n\r\n")
            Greeting(intercept, service).adopt(transport, early)

    return connect


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until the process is ended."""
    loop, clock = asyncio.get_running_loop(), SystemClock()
    authority = SandboxAuthority("bare", clock)
    service = Service(
        handle=lambda _request, _response: None,
        render_refusal=render_json,
        on_error=lambda _request, error: print(error),
        limits=ServerLimits(),
        loop=loop,
        sweeper=Sweeper(loop),
    )

    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    pool = Pool(
        tls=client_context(Path(arguments.authority)), resolver=Resolver(3600.0, lookup=here)
    )
    handle = serve_with(service, pool, authority, arguments.port)
    listener = socket.create_server(("127.0.0.1", 0))
    make = partial(InterceptedConnection, service, lambda _: handle, is_proxy=True)
    await loop.create_server(make, sock=listener)
    trust = Path(arguments.folder) / "sandbox.pem"
    trust.write_bytes(authority.pem)
    print(f"{listener.getsockname()[1]} {trust}", flush=True)
    freeze()
    ended = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ended.set)
    await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--authority", required=True)
    parser.add_argument("--folder", required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args()))
