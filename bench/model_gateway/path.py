"""What the loop's thread does for one call, the whole way in memory: no kernel, ledger or load.

    python -m bench.model_gateway.path [--stream] [--joined] [--kilobytes 100] [--profile 40]

Everything between the bytes of a request and the bytes of its answer is real: parser, admission,
door, path, pool. Sockets are objects that hand bytes over, the ledger says at once that it is done.
The figure is CPU time per call, the least of many short runs, so that it can be compared on a
machine that others use too.
"""

import argparse
import asyncio
import cProfile
import gc
import pstats
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import final

import uvloop
from bench.model_gateway.parts import TOKEN, worker
from bench.model_gateway.scenario import Answer, Scenario, body_of
from bench.model_gateway.subject import interpreter
from bench.model_gateway.upstream import FRAMES, LAST, STREAM_HEAD, WHOLE, length_of

from ringfence.gateways.data_plane import DataPlane
from ringfence.transport.client import Pool
from ringfence.transport.connection import Connection
from ringfence.transport.deadline import Sweeper
from ringfence.transport.http import Origin
from ringfence.transport.limits import ServerLimits
from ringfence.transport.server import render_json
from ringfence.transport.service import Service
from ringfence.transport.upstream import UpstreamConnection

_QUIET, _OTHER = socket.socketpair()
"""What the pool may ask whether its peer has left: it never does."""


class Wire(asyncio.Transport):
    """A socket that hands every write to `take`."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        super().__init__()
        self.write = take  # type: ignore[assignment,method-assign] # writelines is not used
        self._is_closing = False

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        return {"peername": ("127.0.0.1", 1), "socket": _QUIET}.get(name, default)

    def pause_reading(self) -> None:
        """Nothing comes unasked."""

    resume_reading = pause_reading


@final
class Provider:
    """The far end of upstream connections; answers when the whole request has come."""

    def __init__(self, pieces_of: Callable[[bytes], list[bytes]]) -> None:
        """`pieces_of` is given the last bytes of a request."""
        self._pieces_of = pieces_of
        self._loop = asyncio.get_running_loop()

    async def open(
        self, _origin: Origin, make: Callable[[], UpstreamConnection], _timeout_s: float
    ) -> UpstreamConnection:
        line = make()
        missing = 0

        def take(data: bytes) -> None:
            nonlocal missing
            if not missing:
                head, _, _ = data.partition(b"\r\n\r\n")
                missing = len(head) + 4 + length_of(head)
            missing -= len(data)
            if not missing:
                for piece in self._pieces_of(data):
                    self._loop.call_soon(line.data_received, piece)

        line.connection_made(Wire(take))
        return line


@final
class Client:
    """The far end of one server connection; asks again when it is answered."""

    def __init__(self, service: Service, request: bytes, end: bytes, run: "Run") -> None:
        self._loop = service.loop
        self._request = request
        self._end = end
        self._run = run
        self._connection = Connection(service)
        self._connection.connection_made(Wire(self._take))

    def ask(self) -> None:
        self._connection.data_received(self._request)

    def _take(self, data: bytes) -> None:
        if data.endswith(self._end) and self._run.answered():
            self._loop.call_soon(self.ask)


@final
class Run:
    """Counts answers; each run ends when so many have come and nobody asks any more."""

    def __init__(self) -> None:
        self._left = self._open = 0
        self.done = asyncio.Event()

    def begin(self, calls: int, clients: list[Client]) -> None:
        self._left = calls - len(clients)
        self._open = len(clients)
        self.done.clear()
        for client in clients:
            client.ask()

    def answered(self) -> bool:
        self._left -= 1
        if self._left >= 0:
            return True
        self._open -= 1
        if not self._open:
            self.done.set()
        return False


async def measure(options: argparse.Namespace) -> None:
    scenario = Scenario(
        kilobytes=options.kilobytes, answer=Answer.STREAM if options.stream else Answer.JSON
    )
    pieces, end = [WHOLE], b"}"
    if options.stream:
        pieces, end = [STREAM_HEAD, *FRAMES, LAST], LAST
    if options.joined:
        pieces = [b"".join(pieces)]
    with tempfile.TemporaryDirectory() as folder:
        pool = Pool()
        pool._dialer = Provider(lambda _asked: pieces)  # type: ignore[assignment] # noqa: SLF001 (no sockets here)
        plane = worker(Path(folder), pool).data_plane
        service = service_of(plane)
        run, request = Run(), _request(body_of(scenario).whole)
        clients = [Client(service, request, end, run) for _ in range(options.connections)]
        profile = cProfile.Profile() if options.profile else None
        calls = options.calls or (500 if options.stream else 3_000)
        await run_us(run, clients, calls, None)
        gc.collect()
        gc.freeze()  # as the plane does when it has started
        taken_us = [await run_us(run, clients, calls, profile) for _ in range(options.runs)]
        tell(taken_us, profile, options.profile)


def service_of(plane: DataPlane) -> Service:
    """What connections to a data plane share."""
    loop = asyncio.get_running_loop()
    return Service(
        handle=plane.handle,
        render_refusal=render_json,
        on_error=_fail,
        limits=ServerLimits(),
        loop=loop,
        sweeper=Sweeper(loop),
    )


def tell(taken_us: list[float], profile: cProfile.Profile | None, functions: int) -> None:
    """Print what runs have taken, and where."""
    print(f"{min(taken_us):6.1f} µs a call, median {median(taken_us):.1f}, {interpreter()}")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(functions)


async def run_us(
    run: Run, clients: list[Client], calls: int, profile: cProfile.Profile | None
) -> float:
    """CPU time of this thread for a call."""
    began = time.thread_time_ns()
    if profile is not None:
        profile.enable()
    run.begin(calls, clients)
    await run.done.wait()
    if profile is not None:
        profile.disable()
    return (time.thread_time_ns() - began) / calls / 1e3


def _request(body: bytes) -> bytes:
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8484\r\n"
        b"Content-Type: application/json\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n"
    )
    return head % (TOKEN, len(body)) + body


def _fail(_request: object, error: Exception) -> None:
    raise error


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.model_gateway.path")
    parser.add_argument("--stream", action="store_true", help="a stream of 50 chunks, each alone")
    parser.add_argument("--joined", action="store_true", help="an answer comes in one piece")
    parser.add_argument("--kilobytes", type=int, default=4)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--calls", type=int, default=0, help="in each run")
    parser.add_argument("--profile", type=int, default=0, help="show so many functions")
    uvloop.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
