"""Rounds: every subject takes its turn in every scenario, several times, while the others rest."""

import shutil
import statistics
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, final

from bench.model_gateway.load import RUNS, Figures, check_answer, get, press
from bench.model_gateway.process import Pinned, wait_until
from bench.model_gateway.ringfence import Ringfence
from bench.model_gateway.scenario import PACE_MS, Answer, Scenario, body_of
from bench.model_gateway.subject import (
    NotInstallableError,
    Place,
    Running,
    Subject,
    free_port,
)

SUBJECT_CORE = 1
LOAD_CORE = 0
_STILL_S = 0.3


class Named(Protocol):
    """A row of the results."""

    @property
    def name(self) -> str:
        """What was asked, in a few words."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of one subject. `cpu_us` is of its whole process tree, per call."""

    figures: Figures
    cpu_us: float


@dataclass(slots=True)
class Standing:
    """What is known of one subject."""

    name: str
    does: str
    version: str = ""
    missing: str = ""
    ready_s: float = 0.0
    rss_ready_mb: float = 0.0
    rss_end_mb: float = 0.0
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    """By the name of the scenario."""
    notes: list[str] = field(default_factory=list)

    def cpu_us(self, row: Named) -> float | None:
        return self._median([turn.cpu_us for turn in self.turns.get(row.name, [])])

    def p50_us(self, row: Named) -> float | None:
        return self._median([turn.figures.p50_us for turn in self.turns.get(row.name, [])])

    def p99_us(self, row: Named) -> float | None:
        return self._median([turn.figures.p99_us for turn in self.turns.get(row.name, [])])

    def per_second(self, row: Named) -> float | None:
        return self._median([turn.figures.per_second for turn in self.turns.get(row.name, [])])

    @staticmethod
    def _median(values: list[float]) -> float | None:
        return statistics.median(values) if values else None


@final
class Bench:
    """All subjects in front of one upstream."""

    def __init__(self, tools: Path, run: Path) -> None:
        self._tools = tools
        self._run = run
        self._close = ExitStack()
        self._running: dict[str, Running] = {}
        self._subjects: dict[str, Subject] = {}
        self.standings: dict[str, Standing] = {}
        self._calls: dict[str, int] = {}

    def __enter__(self) -> "Bench":
        shutil.rmtree(self._run, ignore_errors=True)
        self._run.mkdir(parents=True)
        self._port = free_port()
        upstream = Pinned(
            [sys.executable, "-m", "bench.model_gateway.upstream", str(self._port)],
            core=LOAD_CORE,
            log=self._run / "upstream.log",
            environment={"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        self._close.callback(upstream.stop)
        wait_until(lambda: get(self._port, "/count")[0] == 200, 10, "the upstream")
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()

    def add(self, subject: Subject) -> None:
        """Install and start it; what cannot be had is noted as missing."""
        standing = Standing(subject.name, subject.does)
        self.standings[subject.name] = standing
        folder = self._run / subject.name.lower().replace(" ", "-").replace(",", "")
        folder.mkdir()
        place = Place(tools=self._tools, run=folder, core=SUBJECT_CORE, upstream_port=self._port)
        try:
            standing.version = subject.install(self._tools)
            running = subject.start(place)
        except (NotInstallableError, TimeoutError) as error:
            standing.missing = str(error)
            return
        standing.ready_s = running.ready_s
        self._running[subject.name] = running
        self._subjects[subject.name] = subject
        self._calls[subject.name] = 0
        if running.process is not None:
            self._close.callback(running.process.stop)
            standing.rss_ready_mb = running.process.weigh().rss_mb
            running.process.pause()

    def running(self, name: str) -> Running:
        return self._running[name]

    def measure(self, scenario: Scenario, *, rounds: int, seconds: int) -> None:
        pace = PACE_MS if scenario.answer is Answer.PACED else 0
        if pace:
            seconds *= 3  # so that few of the streams are cut by the end
        get(self._port, f"/settings?delay_ms={scenario.delay_ms}&pace_ms={pace}")
        for _ in range(rounds):
            for name in list(self._running):
                try:
                    turn = self._turn(name, scenario, seconds)
                except (ValueError, OSError) as error:
                    self.standings[name].notes.append(f"{scenario.name}: {error}")
                    continue
                self.standings[name].turns.setdefault(scenario.name, []).append(turn)

    def _turn(self, name: str, scenario: Scenario, seconds: int) -> Turn:
        running = self._running[name]
        process = running.process
        body = body_of(scenario)
        is_unique = getattr(self._subjects[name], "is_unique", False)
        before = self._count()
        if process is not None:
            process.resume()
        try:
            check_answer(running.target, scenario, body)
            started_s = process.weigh().cpu_s if process is not None else 0.0
            figures = press(
                running.target,
                scenario,
                body,
                seconds=seconds,
                core=LOAD_CORE,
                folder=self._run,
                unique=RUNS if is_unique else None,
            )
            ended_s = process.weigh().cpu_s if process is not None else 0.0
        finally:
            self._calls[name] += self._settled_count() - before
            if process is not None:
                self.standings[name].rss_end_mb = process.weigh().rss_mb
                process.pause()
        if not figures.requests:
            raise ValueError(f"no call was answered within {seconds} s")
        if figures.errors:
            raise ValueError(f"{figures.errors} of {figures.requests} calls failed")
        return Turn(figures, (ended_s - started_s) / figures.requests * 1e6)

    def _count(self) -> int:
        return int(get(self._port, "/count")[1])

    def _settled_count(self) -> int:
        """The upstream's count when the calls that the load left behind have arrived."""
        seen, since = self._count(), time.monotonic()
        while time.monotonic() - since < _STILL_S:
            time.sleep(_STILL_S / 10)
            count = self._count()
            if count != seen:
                seen, since = count, time.monotonic()
        return seen

    def compare_books(self) -> None:
        """Stop each Ringfence and compare its ledger with what reached the upstream."""
        for name, subject in self._subjects.items():
            process = self._running[name].process
            if not isinstance(subject, Ringfence) or process is None:
                continue
            process.stop()
            books, calls = subject.books(), self._calls[name]
            verdict = "equal" if (books.calls, books.open) == (calls, 0) else "NOT EQUAL"
            self.standings[name].notes.append(
                f"ledger against upstream: {verdict} ({books.calls} intents, {books.open} without "
                f"outcome, {calls} calls at the upstream); {subject.disk_mb():.0f} MB on disk"
            )


def measure_all(bench: Bench, scenarios: Iterable[Scenario], rounds: int, seconds: int) -> None:
    for scenario in scenarios:
        bench.measure(scenario, rounds=rounds, seconds=seconds)
        line = [f"{scenario.name}:"]
        for standing in bench.standings.values():
            cpu, p50 = standing.cpu_us(scenario), standing.p50_us(scenario)
            if cpu is not None and p50 is not None:
                line.append(f"{standing.name} {cpu:.0f}µs/{p50 / 1000:.2f}ms")
        print("  ".join(line), flush=True)
