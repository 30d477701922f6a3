"""The load: keep-alive requests over TLS, each connection waiting for its answer.

    python -m bench.egress.load --port PORT --trust FILE --connections 8 --seconds 5 [--proxy PORT]
        [--distinct]

The same request each time, or, with `--distinct`, each for a path that was never asked for.
Prints one line of JSON. Any answer but the host's 200 fails the run.
"""

import argparse
import asyncio
import json
import ssl
import time

import uvloop
from bench.egress.upstream import ANSWER, CREDENTIAL

_HOST = "localhost"
_BODY = ANSWER.partition(b"\r\n\r\n")[2]


class _Asking(asyncio.Protocol):
    """Sends the same request again and again."""

    def __init__(self, request: bytes, distinct: int) -> None:
        """`distinct` is the first of its own numbers for paths; below 0 for the same path."""
        self._request = request
        self._next = distinct
        self._data = b""
        self._sent = 0.0
        self.waits: list[float] = []
        self.failure = ""

    def start(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        request = self._request
        if self._next >= 0:
            request = request.replace(b"/items", b"/items/%d" % self._next, 1)
            self._next += 1
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found or len(body) < len(_BODY):
            if found and not head.startswith(b"HTTP/1.1 200 "):
                self.failure = self._data[:300].decode("latin-1")
                self._transport.abort()
            return
        if not head.startswith(b"HTTP/1.1 200 ") or body != _BODY:
            self.failure = self._data[:300].decode("latin-1")
            self._transport.abort()
            return
        self.waits.append(time.perf_counter() - self._sent)
        self._data = b""
        self._ask()


async def _connected(
    port: int, proxy: int, trust: ssl.SSLContext, asking: _Asking
) -> tuple[_Asking, asyncio.WriteTransport]:
    loop = asyncio.get_running_loop()
    if not proxy:
        transport, _ = await loop.create_connection(
            lambda: asking, _HOST, port, ssl=trust, family=2, server_hostname=_HOST
        )
        return asking, transport
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy)
    writer.write(f"CONNECT {_HOST}:{port} HTTP/1.1\r\nHost: {_HOST}:{port}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head:
        raise SystemExit(f"no tunnel: {head!r}")
    await writer.start_tls(trust, server_hostname=_HOST)
    writer.transport.set_protocol(asking)
    return asking, writer.transport


async def press(arguments: argparse.Namespace) -> dict[str, float]:
    """Ask for so many seconds; how many answers came, and how long each was waited for."""
    trust = ssl.create_default_context(cafile=arguments.trust)
    own = f"authorization: Bearer {CREDENTIAL}\r\n" if arguments.authorised else ""
    request = (
        f"GET /v1/items?page=2 HTTP/1.1\r\nHost: {_HOST}:{arguments.port}\r\n"
        f"User-Agent: bench/1\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n{own}\r\n"
    ).encode()
    made = [
        await _connected(
            arguments.port,
            arguments.proxy,
            trust,
            _Asking(request, at * 10_000_000 if arguments.distinct else -1),
        )
        for at in range(arguments.connections)
    ]
    for asking, transport in made:
        asking.start(transport)
    await asyncio.sleep(arguments.warm)
    for asking, _ in made:
        asking.waits.clear()
    print("warm", flush=True)
    began = time.perf_counter()
    await asyncio.sleep(arguments.seconds)
    took = time.perf_counter() - began
    waits = sorted(wait for asking, _ in made for wait in asking.waits)
    failures = [asking.failure for asking, _ in made if asking.failure]
    for _, transport in made:
        transport.abort()
    if failures or not waits:
        raise SystemExit(f"not the host's answer: {failures[:1]}")
    return {
        "requests": len(waits),
        "seconds": took,
        "p50_us": waits[len(waits) // 2] * 1e6,
        "p99_us": waits[int(len(waits) * 0.99)] * 1e6,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--proxy", type=int, default=0)
    parser.add_argument("--trust", required=True)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--warm", type=float, default=1)
    parser.add_argument("--distinct", action="store_true")
    parser.add_argument("--authorised", action="store_true")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(press(parser.parse_args()))), flush=True)
