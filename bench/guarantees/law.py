"""The law of the guarantees, live: workers are killed, and books, record and provider agree.

Four workers, 200 clients (whole answers, streams, clients that leave), kill -9 of a random worker
every few seconds. In the end: what the provider counted is at most the limit (overspend factor at
most 1.00), no event lost, none twice, every intent with one outcome, books = record. The record,
too, charges at most the limit: what died with a worker stands at its reservation, and no part of
that had been given to others. Run
`python -m bench.guarantees.law [--seconds S] [--postgresql | --database URL]`; ends with 1 if the
law is broken.
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
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import uvloop
from tests.app.installation import Installation, plane, provider
from tests.postgresql.server import serving

from ringfence.app.plane import Plane
from ringfence.domain.budget import Per
from ringfence.domain.event import AnyEvent, Intent, Outcome, Status
from ringfence.testing.model.journal import Entry
from ringfence.testing.model.script import parse
from ringfence.testing.model.serving import Running

# Each answer has as many tokens as it has words, and ends at the output limit of its request: a
# provider that passes it makes overruns, which are charged in full (I2) and are another law.
SCRIPT = f"""\
format: 1
rules:
  - {{when: {{user: "stream"}}, answer: {{text: a b c d e f g h, faults: {{trickle_ms: 20}}}}}}
  - {{when: {{user: "late"}}, answer: {{text: a b c, faults: {{delay_ms: 150}}}}}}
  - answer: {{text: {" ".join(["word"] * 50)}}}
"""
TOKEN_NANO = 10_000


class Clients:
    """What 200 clients do, and what came of it; each call goes to one of the planes."""

    def __init__(self, installed: Sequence[Installation], until_s: float) -> None:
        self.installed = installed
        self.until_s = until_s
        self.answers: Counter[str] = Counter()

    async def run(self, number: int) -> None:
        chance = random.Random(number)  # noqa: S311 (what a client does, not a secret)
        while time.monotonic() < self.until_s:
            kind = chance.choice(["plain", "plain", "stream", "late", "leave"])
            there = chance.choice(self.installed)
            try:
                async with asyncio.timeout(10):
                    if kind == "leave":
                        await self._leave(there)
                        continue
                    answer = await there.ask(
                        kind,
                        stream=kind == "stream",
                        headers={"ringfence-invocation": f"r{number}"},
                    )
            except (ConnectionError, IndexError, TimeoutError, OSError) as error:
                self.answers[type(error).__name__] += 1
                await asyncio.sleep(0.05)
                continue
            self.answers[str(answer.status)] += 1
            if answer.status != 200:
                await asyncio.sleep(0.2)

    async def _leave(self, there: Installation) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
        writer.write(there.request("stream", stream=True))
        with contextlib.suppress(ConnectionError):
            await reader.read(200)
        writer.close()
        self.answers["left"] += 1


class Counted:
    """What the provider says it was used, of every call; its journal keeps the last ones only."""

    def __init__(self, there: Running) -> None:
        self._there = there
        self._entries: dict[int, Entry] = {}

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.1)

    def look(self) -> None:
        self._entries.update({each.number: each for each in self._there.journal.entries})

    @property
    def tokens(self) -> int:
        """Where nothing was stated, every chunk that was sent is a token."""
        return sum(
            each.usage.output_tokens if each.usage is not None else each.chunks
            for each in self._entries.values()
        )

    def __len__(self) -> int:
        return len(self._entries)


async def kill(running: Plane, until_s: float, every_s: float) -> int:
    """Kill a random worker now and then; gives how many."""
    chance = random.Random(1)  # noqa: S311 (which worker, not a secret)
    killed = 0
    while time.monotonic() + every_s < until_s:
        await asyncio.sleep(every_s * chance.uniform(0.5, 1.5))
        alive = [each.pid for each in await running.workers.status() if each.pid]
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(alive), signal.SIGKILL)
            killed += 1
    return killed


async def law(folder: Path, seconds: float, usd: float, every_s: float, database: str) -> bool:
    async with provider(parse(SCRIPT)) as there:
        installed = Installation(folder, workers=4)
        if database:
            installed.database = database
        installed.configure(there.url, usd=str(usd), input_usd="0")
        installed.give_token()
        async with plane(installed) as running:
            until_s = time.monotonic() + seconds
            clients = Clients([installed], until_s)
            counted = Counted(there)
            watching = asyncio.create_task(counted.watch())
            killing = asyncio.create_task(kill(running, until_s, every_s))
            await asyncio.gather(*(clients.run(number) for number in range(200)))
            killed = await killing
            async with asyncio.timeout(30):
                while running.workers.readiness():  # noqa: ASYNC110 (it tells nobody)
                    await asyncio.sleep(0.1)
            await asyncio.sleep(1)
            acme = running.configuration().organisations["acme"].id
            lines = [
                line for line in await running.workers.budgets(acme) if line.key.per is Per.DAY
            ]
            books = sum(int(line.spent) for line in lines)
            inquiries = sum(each.inquiries for each in await running.workers.status())
        events = installed.events()
        counted.look()
        watching.cancel()
        if len(counted) != there.journal.total:
            raise RuntimeError("the provider's journal was not read often enough")
    print(f"clients saw {dict(clients.answers)}; killed {killed}")
    print(f"inquiries of the last workers {inquiries}")
    return report(events, len(counted), counted.tokens * TOKEN_NANO, books, int(usd * 1e9))


def report(events: list[AnyEvent], calls: int, used: int, books: int, limit: int) -> bool:
    intents = [e.action for e in events if isinstance(e, Intent)]
    outcomes = [e for e in events if isinstance(e, Outcome)]
    overrun = sum(int(e.overrun_nano) for e in outcomes)
    charged = sum(int(e.cost_nano) for e in outcomes)
    unknown = [e for e in outcomes if e.status is Status.UNKNOWN]
    holds = {
        "every intent has exactly one outcome": sorted(intents)
        == sorted(e.action for e in outcomes),
        "no intent is there twice": len(intents) == len(set(intents)),
        "nothing reached the provider without an intent": calls <= len(intents),
        "what the provider counted is at most the limit": used <= limit,
        "the record charges at least what the provider counted": used <= charged,
        "what the record charges is at most the limit": charged <= limit,
        "nothing was overrun": overrun == 0,
        "the books are what the record charges": books == charged,
    }
    print(f"calls at the provider {calls}, intents {len(intents)}, unknown {len(unknown)}")
    print(f"limit {limit}, provider {used}, charged {charged}, books {books}")
    print(f"overspend factor {used / limit:.4f} by the provider, {charged / limit:.4f} charged")
    for what, is_so in holds.items():
        print(f"{'holds ' if is_so else 'BROKEN'} {what}")
    return all(holds.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=3, help="seconds between two kills")
    parser.add_argument("--usd", type=float, default=5, help="the budget that all share")
    parser.add_argument("--database", default="", help="a PostgreSQL address; SQLite without")
    parser.add_argument("--postgresql", action="store_true", help="on a server of its own")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        database = given.database
        if given.postgresql:
            database = stack.enter_context(serving(is_durable=True)).url
        running = law(Path(folder), given.seconds, given.usd, given.every, database)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(0 if runner.run(running) else 1)


if __name__ == "__main__":
    main()
