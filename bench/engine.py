"""What the HTTP engine alone costs: a relay that only passes bytes, pinned to one core.

    python -m bench.engine [--seconds 8] [--connections 64] [--bytes 4096] [--loop uvloop]

Load comes from `wrk`; the upstream and the load share the other core. The figure is the CPU time
of the relay process (user and system) divided by the requests it answered.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from ringfence.transport.client import Pool
from ringfence.transport.http import Origin, Request, Response, UpstreamResponse
from ringfence.transport.server import Server

_BODY_LIMIT = 1 << 30


class Relay:
    """Passes an answer on as it comes."""

    def __init__(self, response: Response, answer: UpstreamResponse) -> None:
        self._response = response
        self._done = asyncio.get_running_loop().create_future()
        response.start(answer.status, answer.headers)
        response.on_pause(answer.pause, answer.resume)
        response.on_disconnect(answer.close)
        answer.pipe(self)

    def data(self, chunk: bytes) -> None:
        self._response.write(chunk)

    def end(self) -> None:
        self._response.end()
        self._done.set_result(None)

    def failed(self, _error: Exception) -> None:
        self._response.abort()
        self._done.set_result(None)

    async def wait(self) -> None:
        await self._done


async def serve_relay(upstream_port: int) -> None:
    pool = Pool()
    origin = Origin(scheme="http", host="127.0.0.1", port=upstream_port)

    async def handle(request: Request, response: Response) -> None:
        body = await request.read(_BODY_LIMIT)
        answer = await pool.request(
            origin,
            request.method,
            request.path,
            request.headers,
            body,
            connect_timeout_s=5,
            idle_timeout_s=30,
        )
        if request.path == b"/stream":
            await Relay(response, answer).wait()
        else:
            response.send(answer.status, answer.headers, await answer.read(_BODY_LIMIT))

    await announce(Server(handle))


async def serve_upstream() -> None:
    chunk = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'
    whole = json.dumps({"choices": [{"message": {"content": "word " * 60}}]}).encode()

    async def handle(request: Request, response: Response) -> None:
        await request.read(_BODY_LIMIT)
        if request.path == b"/stream":
            response.start(200, [(b"content-type", b"text/event-stream")])
            for _ in range(50):
                response.write(chunk)
                await asyncio.sleep(0)
            response.end()
        else:
            response.send(200, [(b"content-type", b"application/json")], whole)

    await announce(Server(handle))


async def announce(server: Server) -> None:
    print(await server.listen("127.0.0.1", 0), flush=True)
    await asyncio.Event().wait()


def start(role: str, core: int, loop: str, *rest: str) -> tuple[subprocess.Popen[bytes], int]:
    command = [sys.executable, "-m", "bench.engine", "--role", role, "--core", str(core)]
    process = subprocess.Popen(
        [*command, "--loop", loop, *rest], stdout=subprocess.PIPE, env=os.environ
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(port: int, path: str, options: argparse.Namespace, core: int) -> tuple[int, str]:
    wrk = shutil.which("wrk")
    if wrk is None:
        sys.exit("wrk is not installed")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
            'wrk.headers["authorization"] = "Bearer rf_' + "x" * 43 + '"\n'
            f'wrk.body = string.rep("x", {options.bytes})\n'
        )
        script.flush()
        found = subprocess.run(
            [
                *("taskset", "-c", str(core), wrk, "-t1", f"-c{options.connections}", "--latency"),
                *(f"-d{options.seconds}s", "-s", script.name, f"http://127.0.0.1:{port}{path}"),
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    count = re.search(r"(\d+) requests in", found)
    assert count is not None, found
    errors = re.search(r"(Socket errors|Non-2xx).*", found)
    p50 = re.search(r"\n +50%\s+(\S+)", found)
    p99 = re.search(r"\n +99%\s+(\S+)", found)
    notes = f"p50 {p50[1] if p50 else '?'} p99 {p99[1] if p99 else '?'}"
    return int(count[1]), notes + (f"  {errors[0]}" if errors else "")


def measure(options: argparse.Namespace) -> None:
    cores = sorted(os.sched_getaffinity(0))
    subject, other = cores[0], cores[-1]
    upstream, upstream_port = start("upstream", other, "uvloop")
    relay, relay_port = start("relay", subject, options.loop, "--port", str(upstream_port))
    try:
        for path in ("/json", "/stream"):
            load(relay_port, path, argparse.Namespace(**{**vars(options), "seconds": 1}), other)
            before, began = cpu_s(relay.pid), time.monotonic()
            count, notes = load(relay_port, path, options, other)
            used, took = cpu_s(relay.pid) - before, time.monotonic() - began
            per_us = used / count * 1e6
            print(f"{path:8} {per_us:7.1f} us CPU a request  {count / took:8.0f}/s  {notes}")
    finally:
        relay.terminate()
        upstream.terminate()
        relay.wait()
        upstream.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--role", choices=["measure", "relay", "upstream"], default="measure")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    if options.role == "measure":
        measure(options)
        return
    os.sched_setaffinity(0, {options.core})
    work = serve_upstream() if options.role == "upstream" else serve_relay(options.port)
    factory = uvloop.new_event_loop if options.loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)


if __name__ == "__main__":
    main()
