"""Processes of a benchmark: started on one core, paused while others are measured, weighed."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_STOP_S: Final = 15


@dataclass(frozen=True, slots=True)
class Weight:
    """What a whole process tree has used: seconds of CPU (user and system), resident megabytes."""

    cpu_s: float
    rss_mb: float


@final
class Pinned:
    """A program and all its children on one core."""

    def __init__(
        self, command: list[str], *, core: int, log: Path, environment: Mapping[str, str]
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [shutil.which("taskset") or "taskset", "-c", str(core), *command],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                # Compiled modules are kept, as any installation keeps them.
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
                cwd=log.parent,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def weigh(self) -> Weight:
        cpu = rss = 0.0
        for pid in _tree(self._process.pid):
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                cpu += (int(fields[11]) + int(fields[12])) / _TICKS
                rss += int(fields[21]) * _PAGE / 1e6
        return Weight(cpu, rss)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        if not self.is_running:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        for pid in _tree(self._process.pid):
            with suppress(OSError):
                os.kill(pid, number)


def _tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def wait_until(is_true: object, seconds: float, what: str) -> float:
    """Ask until it is true; gives how long that took. Raises TimeoutError."""
    if not callable(is_true):
        raise TypeError("ask with a function")
    started = time.monotonic()
    while not is_true():
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"{what} was not ready within {seconds:g} s")
        time.sleep(0.01)
    return time.monotonic() - started
