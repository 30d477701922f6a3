"""How long a sandbox takes from `prepare` to the first instruction of its command, and an exec.

`python -m bench.egress.start [RUNS]`: for each tier the time until a command's first output is
read, split at `go`; then what 500 execs of a shell take each, against the same without a sandbox,
and how much processor time of the monitor's is in it (on a busy machine the only figure to trust).
"""

import os
import select
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox import reduced, strict, unconfined
from ringfence.sandbox.notification import ConnectAsked, ExecAsked, Notifications
from ringfence.sandbox.plan import SandboxPlan
from ringfence.sandbox.prepared import Prepared

_PREPARE = {
    SandboxTier.NONE: unconfined.prepare,
    SandboxTier.REDUCED: reduced.prepare,
    SandboxTier.STRICT: strict.prepare,
}
_EXECS = 500
_BURST = f"for i in $(seq {_EXECS}); do /bin/true; done"


@dataclass(frozen=True, slots=True)
class Start:
    """One start, in milliseconds."""

    prepared_ms: float
    first_output_ms: float
    whole_ms: float
    monitor_ms: float
    """Processor time of this process."""


def _plan(tier: SandboxTier, folder: Path, *command: str) -> SandboxPlan:
    home = "/home/agent" if tier is SandboxTier.STRICT else str(folder / "home")
    return SandboxPlan(
        tier=tier,
        command=command,
        environment={"PATH": "/usr/bin:/bin", "HOME": home},
        workspace=str(folder / "workspace"),
        home=home,
    )


def _allow_all(notifications: Notifications) -> None:
    for event in notifications.read():
        if isinstance(event, ExecAsked | ConnectAsked):
            notifications.allow(event.id)


def _follow(prepared: Prepared, reading: int) -> tuple[float, float]:
    """When its first output came, and when all was over; every exec is allowed."""
    launcher = prepared.pid if prepared.is_launched_by_bwrap else 0
    given = prepared.notify_fd
    notifications = None if given is None else Notifications(given, launcher=launcher)
    poll = select.poll()
    asked = [notifications.fileno()] if notifications else []
    for each in (reading, prepared.pidfd, *asked):
        poll.register(each, select.POLLIN)
    prepared.go()
    first = 0.0
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if reading in ready:
            first = first or time.perf_counter()
            os.read(reading, 65536)
        if notifications and notifications.fileno() in ready:
            _allow_all(notifications)
        if prepared.pidfd in ready:
            break
    prepared.wait()
    if notifications:
        notifications.close()
    for _, listener in prepared.listeners:
        listener.close()
    return first, time.perf_counter()


def start_once(tier: SandboxTier, folder: Path, *command: str) -> Start:
    """Start a command that prints, and wait for its end."""
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    began, began_cpu = time.perf_counter(), time.process_time()
    prepared = _PREPARE[tier](_plan(tier, folder, *command), stdio=(null, writing, null))
    at_go = time.perf_counter()
    first, over = _follow(prepared, reading)
    for each in (reading, writing, null):
        os.close(each)
    used = time.process_time() - began_cpu
    ready, printed, whole = ((moment - began) * 1000 for moment in (at_go, first, over))
    return Start(ready, printed, whole, used * 1000)


def main(runs: int) -> None:
    """Print a line for each tier."""
    folder = Path(tempfile.mkdtemp(prefix="ringfence-bench-", dir="/var/tmp")).resolve()
    for name in ("workspace", "home"):
        (folder / name).mkdir()
    try:
        plain_us = 0.0
        for tier in _PREPARE:
            starts = [start_once(tier, folder, "echo", "first") for _ in range(runs)]
            outputs = sorted(each.first_output_ms for each in starts)
            bursts = [start_once(tier, folder, "sh", "-c", _BURST) for _ in range(5)]
            each_us = min(each.whole_ms for each in bursts) * 1000 / _EXECS
            monitor_us = min(each.monitor_ms for each in bursts) * 1000 / _EXECS
            plain_us = plain_us or each_us
            print(
                f"{tier:8} to first output: median {statistics.median(outputs):5.1f} ms,"
                f" p95 {outputs[int(0.95 * len(outputs))]:5.1f}, max {outputs[-1]:5.1f}"
                f" (prepare {statistics.median(each.prepared_ms for each in starts):5.1f});"
                f" exec {each_us:6.0f} us, {each_us - plain_us:4.0f} more than without,"
                f" monitor's CPU {monitor_us:4.0f} us ({runs} starts, {_EXECS} execs)"
            )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
