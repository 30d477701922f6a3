"""Measure and write the results: `python -m bench.tool_gateway [--only NAME] [--write]`."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench.model_gateway import report
from bench.model_gateway.load import DONE, Figures, Target, find_wrk, get
from bench.model_gateway.process import Pinned, wait_until
from bench.model_gateway.run import LOAD_CORE, SUBJECT_CORE, Standing, Turn
from bench.model_gateway.subject import NotInstallableError, Place, Running, free_port
from bench.tool_gateway.scenario import TEXT, TOOLS, USUAL, Method, Scenario, body_of, headers_of
from bench.tool_gateway.subject import ContextForge, Direct, FastMCP, Nginx, Ringfence, Subject

_ROOT: Final = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tool_gateway")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each run of the load")
    parser.add_argument("--only", default="", help="names of subjects, separated by commas")
    parser.add_argument("--first", type=int, default=0, help="only so many scenarios")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md anew")
    options = parser.parse_args()
    wanted = {name.strip() for name in options.only.split(",") if name.strip()}
    subjects: list[Subject] = [Direct(), Nginx(), Ringfence(), FastMCP(), ContextForge()]
    chosen = [each for each in subjects if not wanted or each.name in wanted]
    scenarios = USUAL[: options.first or None]
    tools, run = _ROOT / ".bench", _ROOT / ".bench/run-tools"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    with ExitStack() as close:
        port = free_port()
        upstream = Pinned(
            [sys.executable, "-m", "bench.tool_gateway.upstream", str(port)],
            core=LOAD_CORE,
            log=run / "upstream.log",
            environment={"PYTHONPATH": str(_ROOT)},
        )
        close.callback(upstream.stop)
        wait_until(lambda: get(port, "/count")[0] == 200, 10, "the upstream")
        standings = [Standing(each.name, each.does) for each in chosen]
        started: list[tuple[Subject, Standing, Running]] = []
        for subject, standing in zip(chosen, standings, strict=True):
            running = _start(subject, standing, tools, run, port)
            if running is not None:
                started.append((subject, standing, running))
                if running.process is not None:
                    close.callback(running.process.stop)
        for scenario in scenarios:
            for _ in range(options.rounds):
                for subject, standing, running in started:
                    _measure(subject, standing, running, scenario, options.seconds, run, port)
            _tell(scenario, standings)
    text = report.tables(standings, scenarios, options, "bench.tool_gateway")
    print(text)
    if options.write:
        report.write(_ROOT / "bench/RESULTS.md", text, "tools")


def _start(
    subject: Subject, standing: Standing, tools: Path, run: Path, port: int
) -> Running | None:
    """Install and start it; what cannot be had is noted as missing."""
    folder = run / subject.name.lower().replace(" ", "-")
    folder.mkdir()
    place = Place(tools=tools, run=folder, core=SUBJECT_CORE, upstream_port=port)
    try:
        standing.version = subject.install(tools)
        running = subject.start(place)
    except (NotInstallableError, TimeoutError) as error:
        standing.missing = str(error)
        return None
    standing.ready_s = running.ready_s
    if running.process is not None:
        standing.rss_ready_mb = running.process.weigh().rss_mb
        running.process.pause()
    return running


def _measure(  # noqa: PLR0913, PLR0917 (a turn has these parts)
    subject: Subject,
    standing: Standing,
    running: Running,
    scenario: Scenario,
    seconds: int,
    folder: Path,
    upstream: int,
) -> None:
    process = running.process
    body = body_of(scenario, subject.dialect)
    headers = {**headers_of(scenario, subject.dialect), **dict(running.target.headers)}
    if process is not None:
        process.resume()
    try:
        _check(running.target, scenario, body, headers)
        before = _count(upstream)
        began_s = process.weigh().cpu_s if process is not None else 0.0
        figures = _press(running.target, scenario, body, headers, seconds, folder)
        ended_s = process.weigh().cpu_s if process is not None else 0.0
        if scenario.method is Method.CALL:
            _check_reached(figures, _count(upstream) - before)
        turn = Turn(figures, (ended_s - began_s) / figures.requests * 1e6)
        standing.turns.setdefault(scenario.name, []).append(turn)
    except (ValueError, OSError) as error:
        standing.notes.append(f"{scenario.name}: {error}")
    finally:
        if process is not None:
            standing.rss_end_mb = process.weigh().rss_mb
            process.pause()


def _check_reached(figures: Figures, reached: int) -> None:
    """Raise ValueError if calls were answered that the server never got."""
    if reached < figures.requests:
        raise ValueError(f"the server got {reached} of {figures.requests} calls")


def _count(upstream: int) -> int:
    """How many calls the server has answered so far: a refusal, too, is an answer of status 200."""
    return int(get(upstream, "/count")[1])


def _check(target: Target, scenario: Scenario, body: bytes, headers: dict[str, str]) -> None:
    """Ask once and look at the answer. Raises ValueError if it is not the server's."""
    command = ["curl", "-sS", "-m", "30", "-X", "POST", "--data-binary", "@-"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command.append(f"http://127.0.0.1:{target.port}{target.path}")
    answer = subprocess.run(command, input=body, capture_output=True, check=False).stdout
    data = next((line[5:] for line in answer.splitlines() if line.startswith(b"data:")), answer)
    try:
        result: dict[str, Any] = json.loads(data)["result"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"not an answer: {answer[:300]!r}") from None
    if scenario.method is Method.CALL:
        is_whole = result["content"][0]["text"] == TEXT
    else:
        is_whole = len(result["tools"]) == TOOLS
    if not is_whole:
        raise ValueError(f"not the server's answer: {answer[:300]!r}")


def _press(  # noqa: PLR0913, PLR0917 (a run of the load has these parts)
    target: Target,
    scenario: Scenario,
    body: bytes,
    headers: dict[str, str],
    seconds: int,
    folder: Path,
) -> Figures:
    lines = ['wrk.method = "POST"', f"wrk.body = [==[{body.decode()}]==]"]
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    script = folder / "load.lua"
    script.write_text("\n".join([*lines, DONE]))
    command = ["taskset", "-c", str(LOAD_CORE), find_wrk(), "-t1", f"-c{scenario.connections}"]
    command += [f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
    command.append(f"http://127.0.0.1:{target.port}{target.path}")
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    seen: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    failed = seen["socket_errors"] + seen["bad_statuses"]
    if failed or not seen["requests"]:
        raise ValueError(f"{failed} of {seen['requests']} requests failed")
    return Figures(
        requests=seen["requests"],
        seconds=seen["duration_us"] / 1e6,
        p50_us=seen["p50_us"],
        p99_us=seen["p99_us"],
        errors=0,
    )


def _tell(scenario: Scenario, standings: list[Standing]) -> None:
    line = [f"{time.strftime('%H:%M')} {scenario.name}:"]
    for standing in standings:
        cpu, p50 = standing.cpu_us(scenario), standing.p50_us(scenario)
        if cpu is not None and p50 is not None:
            line.append(f"{standing.name} {cpu:.0f}µs/{p50 / 1000:.2f}ms")
    print("  ".join(line), flush=True)


main()
