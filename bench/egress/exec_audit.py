"""What the plane does for one command of a sandbox: decided, durable before it begins, and its end.

    python -m bench.egress.exec_audit [--execs 10000] [--at-once 64] [--profile 30]

The door, the path, the ledger (SQLite, FULL sync) and the bodies are real; the monitor's side and
the kernel are not here. `--at-once` execs wait for their answers at any time, so that commits are
shared as in a burst; 1 is a shell that runs one command after the other. After it the record is
read back: every command has one intent and one outcome, or the bench fails.
"""

import argparse
import asyncio
import cProfile
import gc
import pstats
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import uvloop
from tests.enforcement.cell import house
from tests.gateways.world import MemoryUsers

from ringfence.app.surroundings import Surroundings
from ringfence.app.worker import Worker
from ringfence.domain.agent import SandboxTier
from ringfence.domain.credential import AgentCredential
from ringfence.domain.event import Intent, Outcome
from ringfence.domain.monitoring import Close, Ended, ExecAsked, ExecWaits, Exited, Join, Kill
from ringfence.domain.organisation import Configuration
from ringfence.domain.sandbox import SandboxEnd, SandboxOrder
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.enforcement.sandbox_registry import Sandboxes, SandboxParts
from ringfence.stores.body import BodyStore
from ringfence.stores.ledger import Fence, LedgerReader, LedgerWriter, Recovered, SqliteLogs
from ringfence.stores.ledger.format import decode
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.transport.client import Pool
from ringfence.transport.clock import SystemClock
from ringfence.transport.entropy import RandomIds

_LINE = ("bash", "-c", "cd /project && git diff --stat HEAD~1 -- src/ | tail -n 20")


class _Nobody:
    """A monitor that is asked nothing."""

    async def end(self, _close: Close) -> Ended | None:
        return None

    def tell(self, _message: ExecWaits | Kill) -> None:
        """Nothing is asked of a person here."""


class Yard:
    """A worker with one open sandbox, on a ledger of its own."""

    def __init__(self, folder: Path, *commands: str) -> None:
        clock = SystemClock()
        self.bodies = BodyStore.open(folder, limit_bytes=1 << 30)
        self.ledger = LedgerWriter.open(Fence.take(folder, "log_bench"), bodies=self.bodies)
        config = house(*commands)
        ids = RandomIds(clock)
        self.worker = Worker(
            Surroundings(
                ledger=self.ledger,
                client=Pool(),
                secrets=EnvironmentSecrets(frozenset(), {}),
                clock=clock,
                ids=ids,
                readiness=str,
                users=MemoryUsers(),
            ),
            Recovered(),
        )
        known = Configuration(organisations={config.name: config}, digest="sha256:1", epoch=1)
        self.worker.install(known, {}, list[AgentCredential](), [])
        self.door = self.worker.shell.door
        self.sandboxes = Sandboxes(
            SandboxParts(
                directory=self.worker.directory,
                invocations=self.worker.invocations,
                ledger=self.ledger,
                clock=clock,
                ids=ids,
                record=self.worker.shell.record,
                doors=(self.door,),
            ),
            "/nowhere",
        )

    async def open(self) -> LiveSandbox:
        """The sandbox, begun."""
        order = SandboxOrder(
            organisation="org_acme",
            agent="agt_triage",
            tier=SandboxTier.STRICT,
            command=("bash",),
            workspace="/project",
            directory="/project",
            actor="cli:uid=0",
        )
        grant = await self.sandboxes.open(order)
        join = Join(
            version="1",
            ticket=grant.ticket,
            tier=grant.tier,
            pid=7,
            plan="",
            binds=("ro /usr", "rw /project"),
            kinds=(),
        )
        return await self.sandboxes.join(join, (), _Nobody())


def asked(number: int) -> ExecAsked:
    """One command of an agent; the second of each pair is what its shell runs."""
    is_shell = number % 2 == 0
    return ExecAsked(
        id=number,
        time_us=time.time_ns() // 1000,
        pid=1000 + number,
        parent=1000 + number - 1,
        path="/usr/bin/bash" if is_shell else "/usr/bin/git",
        argv=_LINE if is_shell else ("git", "show", f"HEAD~{number}"),
        directory="/project",
        exe="/usr/bin/bash",
        program="/usr/bin/bash" if is_shell else "/usr/bin/git",
    )


async def burst(yard: Yard, box: LiveSandbox, execs: int, at_once: int) -> list[float]:
    """Run so many commands; how long each waited for its answer, in seconds."""
    numbers = iter(range(execs))
    waited: list[float] = []

    async def shell() -> None:
        for number in numbers:
            began = time.perf_counter()
            answer = await yard.door.asked(box, asked(number))
            waited.append(time.perf_counter() - began)
            if not answer.is_allowed:
                raise SystemExit(f"refused: {answer.message}")
            yard.door.exited(box, Exited(pid=1000 + number, time_us=0, exit_code=0))

    await asyncio.gather(*(shell() for _ in range(at_once)))
    return waited


async def measure(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        yard = Yard(folder, "bash", "git")
        box = await yard.open()
        await burst(yard, box, 500, options.at_once)
        await yard.ledger.flush()
        gc.collect()
        gc.freeze()
        profile = cProfile.Profile() if options.profile else None
        groups, events = yard.ledger.groups, yard.ledger.events
        loop_s, all_s, began = time.thread_time(), time.process_time(), time.perf_counter()
        if profile is not None:
            profile.enable()
        waited = await burst(yard, box, options.execs, options.at_once)
        if profile is not None:
            profile.disable()
        wall_s = time.perf_counter() - began
        loop_s = time.thread_time() - loop_s
        await yard.ledger.flush()
        yard.bodies.flush()
        all_s = time.process_time() - all_s
        groups, events = yard.ledger.groups - groups, yard.ledger.events - events
        await yard.sandboxes.close(box.id, SandboxEnd.EXITED)
        await yard.ledger.close()
        yard.bodies.close()
        found = lost(folder, options.execs + 500)
        cuts = quantiles(waited, n=100)
        print(
            f"{options.execs} execs, {options.at_once} at once:"
            f" {wall_s / options.execs * 1e6:.0f} µs wall,"
            f" {loop_s / options.execs * 1e6:.0f} µs CPU of the loop,"
            f" {all_s / options.execs * 1e6:.0f} µs CPU of the process for each;"
            f" answered after {cuts[49] * 1e6:.0f} µs (p50), {cuts[98] * 1e6:.0f} µs (p99);"
            f" {events / groups:.1f} events a commit; {found}"
        )
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(options.profile)


def lost(folder: Path, execs: int) -> str:
    """Read the record back; what is missing ends the bench."""
    reader = LedgerReader(SqliteLogs(folder))
    intents: dict[str, int] = {}
    try:
        for leaf in reader.export("org_acme"):
            event = decode(leaf)
            if isinstance(event, Intent):
                intents[event.action] = 0
            elif isinstance(event, Outcome):
                intents[event.action] += 1
    finally:
        reader.close()
    if len(intents) != execs or set(intents.values()) != {1}:
        raise SystemExit(f"{execs - len(intents)} of {execs} commands are not on the record")
    return "none lost"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.egress.exec_audit")
    parser.add_argument("--execs", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--profile", type=int, default=0, help="show so many functions")
    parser.add_argument("--folder", help="where the ledger is; a temporary folder")
    uvloop.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
