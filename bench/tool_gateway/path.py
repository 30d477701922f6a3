"""What the loop's thread does for one tool call, the whole way in memory: no kernel or ledger.

    python -m bench.tool_gateway.path [--list [--anew]] [--connections 64] [--profile 40]

The server says that its list holds for a minute, so it is asked once; with `--anew` it holds not
at all. As `bench.model_gateway.path` for model calls: all between the bytes of a request and those
of its answer is real, and the figure is CPU time per call, the least of many short runs.
"""

import argparse
import cProfile
import gc
import re
import tempfile
from functools import partial
from pathlib import Path

import uvloop
from bench.model_gateway.parts import TOKEN, worker
from bench.model_gateway.path import Client, Provider, Run, run_us, service_of, tell
from bench.tool_gateway.scenario import Dialect, Method, Scenario, body_of, headers_of
from bench.tool_gateway.subject import prepared_in
from bench.tool_gateway.upstream import HEAD, RESULTS

from ringfence.transport.client import Pool

_ASKED = re.compile(rb'"id":("[^"]*"|[0-9]+).*"method":"([^"]+)"|"method":"([^"]+)".*"id":([^,}]+)')


def _answer(request: bytes, *, anew: bool = False) -> list[bytes]:
    """The bench's server: everything in one piece."""
    found = _ASKED.search(request)
    if found is None:
        raise ValueError(request)
    number, method = (found[1], found[2]) if found[2] else (found[4], found[3])
    result = RESULTS[method].replace(b'"ttlMs":60000', b'"ttlMs":0') if anew else RESULTS[method]
    body = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (number, result)
    _answered[method] = _answered.get(method, 0) + 1
    return [HEAD % (b"200 OK", len(body)) + body]


_answered: dict[bytes, int] = {}


async def measure(options: argparse.Namespace) -> None:
    method = Method.LIST if options.list else Method.CALL
    scenario = Scenario(method=method, connections=options.connections)
    with tempfile.TemporaryDirectory() as folder:
        pool = Pool()
        server = partial(_answer, anew=options.anew)
        pool._dialer = Provider(server)  # type: ignore[assignment] # noqa: SLF001 (no sockets here)
        place = Path(folder)
        plane = worker(place, pool, settings_of=prepared_in(place, 1)).data_plane
        service = service_of(plane)
        run, request = Run(), _request(scenario)
        clients = [Client(service, request, b"}", run) for _ in range(scenario.connections)]
        profile = cProfile.Profile() if options.profile else None
        calls = options.calls or (100 if options.list else 3_000)
        await run_us(run, clients, calls, None)
        gc.collect()
        gc.freeze()  # as the plane does when it has started
        taken_us = [await run_us(run, clients, calls, profile) for _ in range(options.runs)]
        is_held = options.list and not options.anew
        if _answered[method.value.encode()] < (1 if is_held else calls * options.runs):
            raise SystemExit("not every call has reached the server")
        tell(taken_us, profile, options.profile)


def _request(scenario: Scenario) -> bytes:
    body = body_of(scenario, Dialect())
    headers = {**headers_of(scenario, Dialect()), "authorization": f"Bearer {TOKEN.decode()}"}
    lines = ["POST /mcp/bench HTTP/1.1", "host: 127.0.0.1:8484", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tool_gateway.path")
    parser.add_argument("--list", action="store_true", help="lists of 200 tools, not calls")
    parser.add_argument("--anew", action="store_true", help="each list asks the server")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--calls", type=int, default=0, help="in each run")
    parser.add_argument("--profile", type=int, default=0, help="show so many functions")
    uvloop.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
