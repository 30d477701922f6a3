"""The law of the guarantees over several planes on one database, of which whole ones are killed.

As `bench.guarantees.law`, and beside single workers all processes of a plane are killed at once; it
is started again in its folder, like by whoever watches over processes. Every plane's record must
verify in the end. Run `python -m bench.guarantees.planes [--seconds S] [--planes N]`; ends with 1
if the law is broken.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop
from bench.guarantees.law import SCRIPT, TOKEN_NANO, Clients, Counted, report
from tests.app.installation import Installation, process, provider
from tests.cli.installation import Result, call
from tests.postgresql.server import serving

from ringfence.testing.model.script import parse

_WHOLE_PLANES = 1 / 3
"""How many of the killings are of a whole plane."""
_LONGEST_AWAY_S = 8.0
"""Others recover a plane that was silent for five seconds: some come back while that happens."""


class Watched:
    """A plane that is started again whenever it is gone."""

    def __init__(self, installed: Installation) -> None:
        self.installed = installed
        self.running: Process | None = None
        self.is_over = False
        self.starts = 0
        self.away_s = 0.0
        """How long it stays away when it is gone next."""

    async def run(self) -> None:
        while not self.is_over:
            async with process(self.installed) as running:
                self.starts += 1
                self.running = running
                assert running.stderr is not None
                async for line in running.stderr:
                    self.installed.lines.append(line.decode())
                await running.wait()
                self.running = None
            if not self.is_over:
                await asyncio.sleep(self.away_s)

    def processes(self) -> list[int]:
        """Its own and those of its workers; none while it starts."""
        if self.running is None:
            return []
        pid = self.running.pid
        with contextlib.suppress(OSError):
            listed = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
            return [pid, *map(int, listed.split())]
        return []

    def end(self) -> None:
        self.is_over = True
        if self.running is not None:
            self.running.send_signal(signal.SIGTERM)

    async def is_ready(self) -> bool:
        with contextlib.suppress(OSError, IndexError, TimeoutError):
            port = self.installed.control_port
            return (await self.installed.send("GET", "/readyz", port=port)).status == 200
        return False

    def command(self, *words: str) -> Result:
        settings = self.installed.settings
        place = ("--config", str(settings.config), "--data", str(settings.data))
        return call(*words, *place)

    def spent(self) -> int:
        """What its books say of the budget that all share."""
        lines = msgspec.json.decode(self.command("budget", "show", "--json").out, type=list[_Line])
        return sum(int(each.spent_nano) for each in lines if (each.scope, each.per) == _DAILY)


class _Line(msgspec.Struct):
    scope: str
    per: str
    spent_nano: str


_DAILY = ("agent", "day")


async def kill(planes: Sequence[Watched], until_s: float, every_s: float) -> tuple[int, int]:
    """Kill a worker, or a whole plane, now and then; gives how many of each."""
    chance = random.Random(1)  # noqa: S311 (which process, not a secret)
    workers = whole = 0
    while time.monotonic() + every_s < until_s:
        await asyncio.sleep(every_s * chance.uniform(0.5, 1.5))
        chosen = chance.choice(planes)
        pids = chosen.processes()
        if len(pids) < 2:
            continue
        is_whole = chance.random() < _WHOLE_PLANES
        chosen.away_s = chance.choice([0.0, chance.uniform(0, _LONGEST_AWAY_S)])
        for pid in pids if is_whole else [chance.choice(pids[1:])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        workers, whole = workers + (not is_whole), whole + is_whole
    return workers, whole


async def law(folder: Path, database: str, given: argparse.Namespace) -> bool:
    async with provider(parse(SCRIPT)) as there:
        installed = [
            Installation(folder / str(number), workers=given.workers, database=database)
            for number in range(given.planes)
        ]
        for each in installed:
            each.folder.mkdir()
            each.configure(there.url, usd=str(given.usd), input_usd="0")
        installed[0].give_token()
        planes = [Watched(each) for each in installed]
        keeping = [asyncio.create_task(each.run()) for each in planes]
        counted = Counted(there)
        watching = asyncio.create_task(counted.watch())
        try:
            await _settled(planes)
            until_s = time.monotonic() + given.seconds
            clients = Clients(installed, until_s)
            killing = asyncio.create_task(kill(planes, until_s, given.every))
            await asyncio.gather(*(clients.run(number) for number in range(200)))
            killed = await killing
            await _settled(planes)
            await asyncio.sleep(7)  # until silent planes count as dead and are made good
            books = [await asyncio.to_thread(each.spent) for each in planes]
        finally:
            for one in planes:
                one.end()
            await asyncio.gather(*keeping)
        counted.look()
        watching.cancel()
        if len(counted) != there.journal.total:
            raise RuntimeError("the provider's journal was not read often enough")
    print(f"clients saw {dict(clients.answers)}")
    recovered = sum("has died and was recovered" in line for p in installed for line in p.lines)
    print(f"planes that were recovered by another: {recovered}")
    print(f"killed {killed[0]} workers and {killed[1]} planes; starts {[p.starts for p in planes]}")
    used, limit = counted.tokens * TOKEN_NANO, int(given.usd * 1e9)
    holds = report(installed[0].events(), len(counted), used, books[0], limit)
    for watched, found in zip(planes, books, strict=True):
        is_whole = watched.command("audit", "verify", "--database", database).code == 0
        print(f"{'holds ' if is_whole else 'BROKEN'} a plane's record verifies; its books {found}")
        holds = holds and is_whole and found == books[0]
    return holds


async def _settled(planes: Sequence[Watched]) -> None:
    async with asyncio.timeout(60):
        for each in planes:
            while not await each.is_ready():  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=3, help="seconds between two kills")
    parser.add_argument("--usd", type=float, default=5, help="the budget that all share")
    parser.add_argument("--planes", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="of each plane")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(is_durable=True) as database:
        running = law(Path(folder), database.url, given)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(0 if runner.run(running) else 1)


if __name__ == "__main__":
    main()
