"""The load: `wrk`, told by a small script what to send, answering with figures as JSON."""

import http.client
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.model_gateway.scenario import Answer, Body, Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Unique requests: so many in a row name the same run, and so many runs are taken in turn.

    The calls of a run come at once over all connections; unless each connection has runs of its
    own, one after the other, as an agent has.
    """

    steps: int = 30
    count: int = 500
    is_agent: bool = False


RUNS: Final = Runs()

_SAME: Final = """
wrk.method = "POST"
wrk.body = before .. stamp .. after
"""
_UNIQUE: Final = """
wrk.method = "POST"
local number, agents = 0, 0
agent = 0
function setup(thread)
   thread:set("agent", agents)
   agents = agents + 1
end
function request()
   number = number + 1
   local run = math.floor(number / %(steps)d) %% %(runs)d
   wrk.headers["ringfence-invocation"] = "%(run)s-" .. agent .. "-" .. run
   local mark = string.format("s%%06d-%%014d", %(mark)d, number * 1000 + agent)
   return wrk.format(nil, nil, nil, before .. mark .. after)
end
"""
DONE: Final = """
function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '\\n{"requests":%d,"duration_us":%d,"p50_us":%.1f,"p99_us":%.1f,"mean_us":%.1f,' ..
      '"socket_errors":%d,"bad_statuses":%d}\\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      latency.mean, e.connect + e.read + e.write + e.timeout, e.status))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a subject answers, and what it wants to be told."""

    port: int
    path: str = "/v1/chat/completions"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run of the load saw."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def find_wrk() -> str:
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("the load generator `wrk` is missing: install it, for example from Debian")
    return found


def press(  # noqa: PLR0913 (a run of the load has these parts)
    target: Target,
    scenario: Scenario,
    body: Body,
    *,
    seconds: int,
    core: int,
    folder: Path,
    unique: Runs | None = None,
) -> Figures:
    """Send for so many seconds over so many connections, each waiting for its answer.

    `unique` makes every request bring a message that was never seen before.
    """
    script = folder / "load.lua"
    script.write_text(_script(target, body, unique))
    threads = scenario.connections if unique is not None and unique.is_agent else 1
    command = ["taskset", "-c", str(core), find_wrk(), f"-t{threads}"]
    command.append(f"-c{scenario.connections}")
    command += [f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
    command.append(f"http://127.0.0.1:{target.port}{target.path}")
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    seen: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return Figures(
        requests=seen["requests"],
        seconds=seen["duration_us"] / 1e6,
        p50_us=seen["p50_us"],
        p99_us=seen["p99_us"],
        errors=seen["socket_errors"] + seen["bad_statuses"],
    )


def _script(target: Target, body: Body, runs: Runs | None) -> str:
    parts = [f"local before = {_lua(body.before)}", f"local stamp = {_lua(body.stamp)}"]
    parts.append(f"local after = {_lua(body.after)}")
    parts.append('wrk.headers["content-type"] = "application/json"')
    parts += [f'wrk.headers["{name}"] = "{value}"' for name, value in target.headers]
    mark = time.monotonic_ns() // 1_000_000 % 1_000_000
    run = f"bench-{os.getpid()}-{mark}"
    if runs is None:
        return "\n".join([*parts, _SAME, DONE])
    unique = _UNIQUE % {
        "run": run,
        "steps": runs.steps,
        "runs": runs.count,
        "mark": mark,
    }
    return "\n".join([*parts, unique, DONE])


def _lua(text: bytes) -> str:
    return f"[==[{text.decode()}]==]"


def check_answer(target: Target, scenario: Scenario, body: Body) -> None:
    """Make one call and look at the answer. Raises ValueError if it is not the provider's."""
    answer = call(target, body.whole)
    if scenario.answer is Answer.JSON:
        text = json.loads(answer)["choices"][0]["message"]["content"]
        is_whole = text.startswith("A short answer in a few words.")
    else:
        is_whole = all(b"word%d " % n in answer for n in (0, 47)) and b"[DONE]" in answer
    if not is_whole:
        raise ValueError(f"not the provider's answer: {answer[:300]!r}")


def call(target: Target, body: bytes) -> bytes:
    """One POST with a connection of its own. Raises ValueError for any status but 200."""
    line = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
    try:
        line.request(
            "POST",
            target.path,
            body,
            {"content-type": "application/json", **dict(target.headers)},
        )
        answer = line.getresponse()
        data = answer.read()
    finally:
        line.close()
    if answer.status != 200:
        raise ValueError(f"status {answer.status}: {data[:300]!r}")
    return data


def get(port: int, path: str) -> tuple[int, bytes]:
    """One GET; status 0 if nobody answers."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        line.request("GET", path)
        answer = line.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        line.close()
