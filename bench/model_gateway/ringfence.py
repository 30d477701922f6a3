"""Ringfence with everything on, as `ringfence up` starts it."""

import http.client
import json
import re
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from bench.model_gateway.load import Target
from bench.model_gateway.process import Pinned
from bench.model_gateway.scenario import MODEL
from bench.model_gateway.subject import (
    PYTHON,
    Place,
    Running,
    free_port,
    interpreter,
    runtime_of,
    wait_for,
)

from ringfence import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """What retention keeps, in days, and how long a day takes."""

    body: int
    event: int
    day_s: float


SETTINGS = """
format: 1
organisation:
  name: acme
  timezone: UTC
  budget: {{usd: 1000000000, per: month}}{retention}
teams:
  support: {{budget: {{usd: 1000000000, per: month}}}}
users:
  owner@acme.example: {{roles: [admin]}}
providers:
  house: {{protocol: openai, base_url: "http://127.0.0.1:{upstream}/v1"}}
models:
  {model}: {{provider: house, price: {{input: 0.25, output: 2.00}}}}
agents:
  bench:
    owner: owner@acme.example
    team: support
    category: bounded
    purpose: Be measured.
    models: [{model}]
    budget: [{{usd: 1000000000, per: day}}, {{usd: 1000000000, per: invocation}}]
    limits:
      model_calls: unlimited
      seconds: {run_seconds}
      new_invocations_per_minute: 1000000
      open_invocations: 1000000
"""


def settings_text(upstream: int, run_seconds: str = "unlimited", days: Days | None = None) -> str:
    kept = f"\n  retention: {{body_days: {days.body}, event_days: {days.event}}}" if days else ""
    return SETTINGS.format(upstream=upstream, model=MODEL, run_seconds=run_seconds, retention=kept)


_ROOT = Path(__file__).parents[2]
SOURCES = {"PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}"}
"""An environment made from the locks holds the dependencies only."""


@dataclass(frozen=True, slots=True)
class Books:
    """What the ledger holds: intents, and those without an outcome."""

    calls: int
    open: int


class Ringfence:
    """`is_unique` says whether every request brings a message that was never seen before.

    `run_seconds` is how long an invocation may last, `workers` how many processes serve, `days`
    what retention deletes (without it, nothing). `python`
    is an interpreter to run it by, in an environment of its own made from the locks; without one
    it is that of this bench.
    """

    does = "identity, four budgets, durable intent and outcome, bodies, trace"

    def __init__(
        self,
        *,
        is_unique: bool = False,
        run_seconds: str = "unlimited",
        workers: int = 1,
        days: Days | None = None,
        python: str = "",
    ) -> None:
        self.run_seconds = run_seconds
        self.workers = workers
        self.days = days
        self.is_unique = is_unique
        self.name = "Ringfence, unique" if is_unique else "Ringfence"
        if python:
            self.name += f" by {Path(python).name}"
        self._wanted = python
        self._python = PYTHON

    def install(self, tools: Path) -> str:
        if self._wanted:
            self._python = runtime_of(tools, self._wanted)
        return f"{__version__}, {interpreter(self._python)}"

    def start(self, place: Place) -> Running:
        port, console = free_port(), free_port()
        settings = place.run / "ringfence.yaml"
        settings.write_text(settings_text(place.upstream_port, self.run_seconds, self.days))
        self.data = place.run / "data"
        environment = dict(SOURCES)
        if self.days is not None:
            environment["RINGFENCE_BENCH_DAY_S"] = str(self.days.day_s)
        module = "ringfence" if self.days is None else "bench.quick_days"
        command = [self._python, "-m", module, "up", "--config", str(settings)]
        command += ["--data", str(self.data), "--port", str(port), "--console-port", str(console)]
        command += ["--workers", str(self.workers)]
        process = Pinned(
            command, core=place.core, log=place.run / "ringfence.log", environment=environment
        )
        ready_s = wait_for(process, port, "/readyz", 20, self.name)
        headers = (("authorization", f"Bearer {token_of(self.data)}"),)
        return Running(target=Target(port=port, headers=headers), process=process, ready_s=ready_s)

    def books(self) -> Books:
        """Read the ledger of a stopped plane."""
        calls = still_open = 0
        for path in (self.data / "ledger").glob("*.db"):
            line = sqlite3.connect(path)
            calls += line.execute("SELECT coalesce(sum(steps), 0) FROM invocations").fetchone()[0]
            still_open += line.execute("SELECT count(*) FROM pending").fetchone()[0]
            line.close()
        return Books(calls, still_open)

    def disk_mb(self) -> float:
        files = [path for path in self.data.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files) / 1e6

    def slab_takes(self) -> int:
        """How often workers have asked for parts of shared limits."""
        line = _Local(self.data / "control.sock")
        line.request("GET", "/metrics")
        text = line.getresponse().read().decode()
        line.close()
        found = re.search(r"^ringfence_slab_takes_total (\S+)$", text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def inquiries(self) -> int:
        """What all workers have asked their supervisor."""
        line = _Local(self.data / "control.sock")
        line.request("GET", "/api/v1/status")
        workers = json.loads(line.getresponse().read())["workers"]
        line.close()
        return sum(int(each["inquiries"]) for each in workers)


class _Local(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def token_of(data: Path) -> str:
    line = _Local(data / "control.sock")
    line.request("POST", "/api/v1/agents/bench/tokens", "{}", {"content-type": "application/json"})
    answer = json.loads(line.getresponse().read())
    line.close()
    token: str = answer["token"]
    return token
