"""What an audited exec adds to a real sandbox: wall time and CPU, beside the same without one.

    python -m bench.egress.exec_whole [--execs 2000]

A shell in a strict sandbox runs `/bin/true` so many times, one after the other and 64 at a time;
then the same shell does it outside. The plane, the monitor and the kernel are real, each in a
process of its own; intents are durable (SQLite, FULL sync). After it the record is read back: every
command has an intent and an outcome with its exit code, or the bench fails.
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from tests.sandbox import whole
from tests.sandbox.whole import AGENT, WholePlane, config

_ANY = AGENT.rstrip() + "\n    limits: {{commands: unlimited}}\n"
_TICKS = os.sysconf("SC_CLK_TCK")


def scripts(execs: int) -> dict[str, str]:
    """What the shell is told, by how it is called."""
    loop = f"i=0; while [ $i -lt {execs} ]; do /bin/true; i=$((i+1)); done"
    # xargs(1) waits for each exec before it forks again; a shell's background jobs do not.
    batch = "k=0; while [ $k -lt 64 ]; do /bin/true & k=$((k+1)); done; wait"
    burst = f"i=0; while [ $i -lt {execs // 64} ]; do {batch}; i=$((i+1)); done"
    timed = "s=$(date +%s%N); {what}; e=$(date +%s%N); echo $((e-s))"
    return {
        "one after the other": timed.format(what=loop),
        "bursts of 64": timed.format(what=burst),
    }


def cpu_s(pid: int) -> float:
    """What a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def children_s() -> float:
    """What processes that we have waited for have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(plane: WholePlane, name: str, script: str, execs: int, start_s: float) -> None:
    """Run it inside and outside, and print what the difference is.

    `start_s` is what a run uses that executes nothing.
    """
    assert plane.process is not None
    plane_s, run_s = cpu_s(plane.process.pid), children_s()
    ran = plane.run("bash", "-c", script)
    if ran.code:
        raise SystemExit(repr(ran))
    plane_s, run_s = cpu_s(plane.process.pid) - plane_s, children_s() - run_s
    time.sleep(0.1)
    inside_s = int(plane.sights("sandbox.ended")[-1]["detail"]["cpu_us"]) / 1e6
    outside = subprocess.run(
        ["/bin/bash", "-c", script], capture_output=True, text=True, check=True
    )
    added_us = (int(ran.out) - int(outside.stdout)) / 1e3 / execs
    print(
        f"{name}: {int(ran.out) / 1e3 / execs:.0f} µs an exec in the sandbox,"
        f" {int(outside.stdout) / 1e3 / execs:.0f} outside: {added_us:.0f} added;"
        f" CPU: plane {plane_s / execs * 1e6:.0f}, monitor"
        f" {(run_s - inside_s - start_s) / execs * 1e6:.0f}"
    )


def started(plane: WholePlane) -> float:
    """What `ringfence run` itself uses, apart from what it runs."""
    before_s = children_s()
    plane.run("bash", "-c", ":")
    used_s = children_s() - before_s
    return used_s - int(plane.sights("sandbox.ended")[-1]["detail"]["cpu_us"]) / 1e6


def lost(plane: WholePlane, execs: int) -> str:
    """Read the record back; what is missing ends the bench."""
    out = plane.ask("audit", "export", "--events-only").stdout
    events = [json.loads(line) for line in out.splitlines()]
    asked = {each["action"] for each in events if each.get("resource") == "true"}
    ended = {each["action"] for each in events if each.get("exit_code") == 0}
    if len(asked) != execs or not asked <= ended:
        raise SystemExit(f"of {execs} commands {len(asked)} began and {len(asked & ended)} ended")
    return f"{execs} commands, none lost"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.egress.exec_whole")
    parser.add_argument("--execs", type=int, default=2_000)
    execs = parser.parse_args().execs // 64 * 64
    whole.RUN_S = 900
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place = Path(folder).resolve()
        plane = WholePlane(place, config(_ANY.format(name="a", tier="strict")))
        plane.start()
        try:
            told = scripts(execs)
            start_s = started(plane)
            for name, script in told.items():
                measure(plane, name, script, execs, start_s)
            print(lost(plane, len(told) * execs))
        finally:
            plane.stop()


if __name__ == "__main__":
    main()
