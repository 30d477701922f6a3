"""What sharing costs: CPU per call of several workers against one, questions, a shared lock.

All processes of a plane, supervisor included, run on one core, so that the CPU of one is compared
with the CPU of the same work shared out. `planes` is the floor: as many planes of one process side
by side, that share nothing but the core, each with its part of the connections. Each connection
has runs of its own, as an agent has; `--at-once` spreads the calls of a run over all connections.
Subjects take turns. Run `python -m bench.guarantees.workers [--seconds S] [--rounds N]
[--workers 2 4] [--steps 30 100] [--at-once]`.
"""

import argparse
import random
import shutil
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.model_gateway.load import Runs, press
from bench.model_gateway.process import Pinned
from bench.model_gateway.ringfence import Ringfence
from bench.model_gateway.run import LOAD_CORE
from bench.model_gateway.scenario import Scenario, body_of
from bench.model_gateway.subject import Place, Running, free_port
from bench.soak import upstream

_RUN: Final = Path(__file__).parents[2] / ".bench/workers"
_CORE: Final = 1
_WARM_S: Final = 3
_LOOK_S: Final = 0.01
_CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one run: per call, and how much of the time the bodies' write lock was held."""

    cpu_us: float
    questions: float
    takes: float
    locked_ratio: float
    rss_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """So many planes of so many workers."""

    planes: int
    workers: int

    @property
    def name(self) -> str:
        if self.planes > 1:
            return f"{self.planes} planes"
        return f"{self.workers} worker{'s' if self.workers > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Plane:
    """One that runs."""

    plane: Ringfence
    running: Running
    process: Pinned
    folder: Path


@contextmanager
def started(workers: int, folder: Path, port: int) -> Iterator[Plane]:
    folder.mkdir(parents=True)
    plane = Ringfence(is_unique=True, workers=workers)
    running = plane.start(Place(tools=folder, run=folder, core=_CORE, upstream_port=port))
    if running.process is None:
        raise SystemExit("Ringfence did not start")
    try:
        yield Plane(plane, running, running.process, folder)
    finally:
        running.process.stop()


@contextmanager
def watched(planes: list[Plane]) -> Iterator[list[bool]]:
    """Look at random moments whether a file that several processes write is locked."""
    seen: list[bool] = []
    is_over = threading.Event()

    def look() -> None:
        files = [path for each in planes for path in (each.plane.data / "bodies").glob("*.db")]
        lines = [
            sqlite3.connect(each, timeout=0, isolation_level=None, check_same_thread=False)
            for each in files
        ]
        while not is_over.wait(random.uniform(0, 2 * _LOOK_S)):  # noqa: S311 (no secret)
            for line in lines:
                try:
                    line.execute("BEGIN IMMEDIATE")
                    line.execute("ROLLBACK")
                    seen.append(False)
                except sqlite3.OperationalError:
                    seen.append(True)
        for line in lines:
            line.close()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


def load(planes: list[Plane], seconds: int, runs: Runs) -> int:
    """Press all planes at the same time; gives the calls."""
    scenario = Scenario(connections=_CONNECTIONS // len(planes))

    def one(each: Plane) -> int:
        figures = press(
            each.running.target,
            scenario,
            body_of(scenario),
            seconds=seconds,
            core=LOAD_CORE,
            folder=each.folder,
            unique=runs,
        )
        if figures.errors:
            raise SystemExit(f"{figures.errors} calls failed")
        return figures.requests

    with ThreadPoolExecutor(len(planes)) as pool:
        return sum(pool.map(one, planes))


def measure(subject: Subject, seconds: int, runs: Runs) -> Figures:
    shutil.rmtree(_RUN, ignore_errors=True)
    port = free_port()
    with upstream(port), ExitStack() as stack:
        planes = [
            stack.enter_context(started(subject.workers, _RUN / f"{number}", port))
            for number in range(subject.planes)
        ]
        load(planes, _WARM_S, runs)
        time.sleep(1)

        def count() -> tuple[float, int, int]:
            cpu_s = sum(each.process.weigh().cpu_s for each in planes)
            asked = sum(each.plane.inquiries() for each in planes)
            return cpu_s, asked, sum(each.plane.slab_takes() for each in planes)

        cpu_s, asked, taken = count()
        with watched(planes) as seen:
            calls = load(planes, seconds, runs)
        time.sleep(1)
        cpu_after_s, asked_after, taken_after = count()
        return Figures(
            cpu_us=(cpu_after_s - cpu_s) / calls * 1e6,
            questions=(asked_after - asked) / calls,
            takes=(taken_after - taken) / calls,
            locked_ratio=sum(seen) / max(1, len(seen)),
            rss_mb=sum(each.process.weigh().rss_mb for each in planes),
        )


def show(subjects: list[Subject], rounds: int, seconds: int, runs: Runs) -> None:
    taken: dict[Subject, list[Figures]] = {each: [] for each in subjects}
    for _ in range(rounds):
        for subject in subjects:
            taken[subject].append(measure(subject, seconds, runs))
    first = taken[subjects[0]]
    for subject, figures in taken.items():
        ratios = [one.cpu_us / other.cpu_us for one, other in zip(figures, first, strict=True)]
        print(
            f"{runs.steps:6} {subject.name:>10}"
            f" {statistics.median(each.cpu_us for each in figures):11.0f}"
            f" {statistics.median(ratios):11.2f}"
            f" {statistics.median(each.questions for each in figures):14.3f}"
            f" {statistics.median(each.takes for each in figures):10.3f}"
            f" {statistics.median(each.locked_ratio for each in figures):8.1%}"
            f" {statistics.median(each.rss_mb for each in figures):6.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--steps", type=int, nargs="+", default=[30, 100])
    parser.add_argument("--at-once", action="store_true")
    given = parser.parse_args()
    subjects = [Subject(planes=1, workers=1)]
    for count in given.workers:
        subjects += [Subject(planes=count, workers=1), Subject(planes=1, workers=count)]
    print(f"medians of {given.rounds} rounds; ratios of the same round")
    print(
        f"{'steps':>6} {'subject':>10} {'CPU us/call':>11} {'against one':>11}"
        f" {'questions/call':>14} {'takes/call':>10} {'locked':>8} {'MB':>6}"
    )
    for steps in given.steps:
        show(subjects, given.rounds, given.seconds, Runs(steps=steps, is_agent=not given.at_once))


if __name__ == "__main__":
    main()
