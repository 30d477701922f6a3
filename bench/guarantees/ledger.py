"""What a durable intent costs on SQLite and on PostgreSQL: events per second, and added latency.

Each of so many callers writes an intent, waits until it is durable, and records its outcome. The
latency is that of the intent. Run `python -m bench.guarantees.ledger [--seconds S]`; PostgreSQL is
`DATABASE_URL`, else a server of its own with fsync on, in a temporary folder on the same disk.
"""

import argparse
import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

import uvloop
from bench.ledger import pair
from tests.postgresql import server

from ringfence.stores.ledger import LedgerWriter, Logs, SqliteLogs
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.ledger_logs import PostgresLogs

CALLERS = (1, 32, 256)


async def load(logs: Logs, callers: int, seconds: float) -> tuple[float, float, float, float]:
    """Events per second, and the latency of the intent in ms: median, 99th percentile, highest."""
    writer = LedgerWriter(logs.take(f"log_{callers}_{os.urandom(4).hex()}").open())
    numbers = itertools.count()
    waited: list[float] = []

    async def call(caller: int, until: float) -> None:
        while time.perf_counter() < until:
            intent, outcome = pair(next(numbers), f"inv_{caller}", 1)
            begun = time.perf_counter()
            await writer.intend(intent)
            waited.append(time.perf_counter() - begun)
            writer.record(outcome)

    async def all_for(length: float) -> float:
        start = time.perf_counter()
        await asyncio.gather(*(call(caller, start + length) for caller in range(callers)))
        await writer.flush()
        return time.perf_counter() - start

    await all_for(min(1.0, seconds))
    waited.clear()
    before = writer.events
    took = await all_for(seconds)
    written = writer.events - before
    await writer.close()
    percentiles = quantiles(waited, n=100)
    ms = 1000.0
    return written / took, percentiles[49] * ms, percentiles[98] * ms, max(waited) * ms


@contextmanager
def sqlite() -> Iterator[Callable[[], Logs]]:
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-", dir="/tmp") as folder:
        yield lambda: SqliteLogs(Path(folder))


@contextmanager
def postgresql() -> Iterator[Callable[[], Logs]]:
    given = os.environ.get("DATABASE_URL")
    if given:
        with server.schema(given, f"bench_{os.getpid()}") as url:
            yield lambda: PostgresLogs(Address.parse(url))
        return
    with server.serving(is_durable=True) as running:
        yield lambda: PostgresLogs(Address.parse(running.url))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'store':<12}{'callers':>8}{'events/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for name, opened in (("SQLite", sqlite), ("PostgreSQL", postgresql)):
        with opened() as logs:
            for callers in CALLERS:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    rate, p50, p99, most = runner.run(load(logs(), callers, seconds))
                print(f"{name:<12}{callers:>8}{rate:>11,.0f}{p50:>9.2f}{p99:>9.2f}{most:>9.2f}")


if __name__ == "__main__":
    main()
