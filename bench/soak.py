"""A million calls of 100,000 runs through one plane: does memory stay flat, is the record whole?

Run `python -m bench.soak [--calls 1000000] [--minutes 90]`. Each round sends plain calls, streams
and calls that open a connection each, all with messages that were never seen before, in runs of ten
calls that end after half a minute. The end of each part cuts what is under way, so that clients
also leave in the middle. Retention runs meanwhile, over bodies and events; its days are short here.
After each round resident memory is read, and what is new in the ledger is counted before retention
can delete it. At the end the plane is stopped, and what was counted is compared with the calls that
reached the provider.
"""

import argparse
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from bench.model_gateway.load import Runs, Target, get, press
from bench.model_gateway.process import Pinned, wait_until
from bench.model_gateway.ringfence import Days, Ringfence
from bench.model_gateway.run import LOAD_CORE
from bench.model_gateway.scenario import Answer, Scenario, body_of
from bench.model_gateway.subject import Place, Running, free_port

from ringfence.stores.ledger import segment

_ROOT: Final = Path(__file__).parents[1]
_RUN: Final = _ROOT / ".bench/soak"
_SUBJECT_CORE: Final = 1
_SETTLING_S: Final = 30.0
_RECONNECTING: Final = (("connection", "close"),)
_RUNS: Final = Runs(steps=10, count=1_000_000_000)
_DAYS: Final = Days(body=12, event=32, day_s=10.0)
_NEEDLES: Final = {
    "intents": b'"kind":"intent"',
    "outcomes": b'"kind":"outcome"',
    "refusals": b'"kind":"refusal"',
    "deletions": b'"what":"retention.deleted"',
    "runs": b'"opens":true',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one round sends for a while."""

    name: str
    scenario: Scenario
    seconds: int
    headers: tuple[tuple[str, str], ...] = ()


PARTS: Final = (
    Part(name="plain", scenario=Scenario(), seconds=15),
    Part(name="stream", scenario=Scenario(answer=Answer.STREAM), seconds=5),
    Part(name="reconnecting", scenario=Scenario(), seconds=4, headers=_RECONNECTING),
)


@dataclass(slots=True)
class Record:
    """What the ledger holds and has held; read little by little, since retention deletes."""

    folder: Path
    counted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_NEEDLES, 0))
    kept: int = 0
    """Events that are still there."""
    _through: dict[Path, int] = field(default_factory=dict)

    def read(self) -> None:
        """Count what is new."""
        self.kept = 0
        for path in self.folder.glob("*.db"):
            log = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            self.kept += log.execute("SELECT coalesce(sum(count), 0) FROM segments").fetchone()[0]
            for part in segment.following(log, self._through.get(path, 0)):
                self._through[path] = part.first
                for kind, needle in _NEEDLES.items():
                    self.counted[kind] += part.data.count(needle)
            log.close()


@contextmanager
def upstream(port: int) -> Iterator[None]:
    _RUN.mkdir(parents=True, exist_ok=True)
    process = Pinned(
        [sys.executable, "-m", "bench.model_gateway.upstream", str(port)],
        core=LOAD_CORE,
        log=_RUN / "upstream.log",
        environment={"PYTHONPATH": str(_ROOT)},
    )
    try:
        wait_until(lambda: get(port, "/count")[0] == 200, 10, "the upstream")
        yield
    finally:
        process.stop()


def count(port: int) -> int:
    return int(get(port, "/count")[1])


def settled(port: int) -> int:
    """The upstream's count when nothing arrives any more."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < _SETTLING_S:
        now = count(port)
        if now == seen:
            return now
        seen = now
        time.sleep(1)
    return seen


def send_round(running: Running) -> tuple[int, int]:
    """All parts once; gives answered calls and errors."""
    calls = errors = 0
    for part in PARTS:
        target: Target = replace(running.target, headers=running.target.headers + part.headers)
        figures = press(
            target,
            part.scenario,
            body_of(part.scenario),
            seconds=part.seconds,
            core=LOAD_CORE,
            folder=_RUN,
            unique=_RUNS,
        )
        calls += figures.requests
        errors += figures.errors
    return calls, errors


def soak(plane: Ringfence, running: Running, record: Record, *, calls: int, until: float) -> int:
    """Send rounds and print a line after each; gives the number of errors."""
    process = running.process
    if process is None:
        raise SystemExit("Ringfence did not start")
    print(
        f"{'time':>6} {'calls':>9} {'runs':>7} {'errors':>6} {'RSS MB':>7} {'disk MB':>8}"
        f" {'events kept':>11} {'CPU us/call':>11}"
    )
    began, sent, errors, cpu_s = time.monotonic(), 0, 0, process.weigh().cpu_s
    print(f"{0:5.0f}s {0:9} {0:7} {0:6} {process.weigh().rss_mb:7.1f} {plane.disk_mb():8.1f}")
    while sent < calls and time.monotonic() < until:
        more, failed = send_round(running)
        record.read()
        weight = process.weigh()
        sent, errors = sent + more, errors + failed
        print(
            f"{time.monotonic() - began:5.0f}s {sent:9} {record.counted['runs']:7} {errors:6}"
            f" {weight.rss_mb:7.1f} {plane.disk_mb():8.1f} {record.kept:11}"
            f" {(weight.cpu_s - cpu_s) / max(more, 1) * 1e6:11.0f}",
            flush=True,
        )
        cpu_s = weight.cpu_s
    return errors


def compare(plane: Ringfence, record: Record, arrived: int) -> bool:
    """Look at the ledger of the stopped plane."""
    record.read()
    counted, still_open = record.counted, plane.books().open
    is_whole = counted["intents"] == counted["outcomes"] == arrived and not still_open
    print(f"ledger: {counted}, {record.kept} events kept, {still_open} intents without outcome")
    print(f"upstream: {arrived} calls; the record is {'whole' if is_whole else 'NOT WHOLE'}")
    return is_whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=90.0)
    asked = parser.parse_args()
    shutil.rmtree(_RUN, ignore_errors=True)
    _RUN.mkdir(parents=True)
    port = free_port()
    plane = Ringfence(is_unique=True, run_seconds="30", days=_DAYS)
    with upstream(port):
        place = Place(tools=_RUN, run=_RUN, core=_SUBJECT_CORE, upstream_port=port)
        running = plane.start(place)
        try:
            until = time.monotonic() + 60 * asked.minutes
            record = Record(plane.data / "ledger")
            errors = soak(plane, running, record, calls=asked.calls, until=until)
            arrived = settled(port)
        finally:
            if running.process is not None:
                running.process.stop()
        is_whole = compare(plane, record, arrived)
    return 0 if is_whole and not errors else 1


if __name__ == "__main__":
    sys.exit(main())
