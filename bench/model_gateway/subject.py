"""What is measured: something that is installed, started and asked."""

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.model_gateway.load import Target, get
from bench.model_gateway.process import Pinned, wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a subject runs. `tools` keeps what is installed, `run` is thrown away."""

    tools: Path
    run: Path
    core: int
    upstream_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A subject that answers. `ready_s` is how long that took from its start."""

    target: Target
    process: Pinned | None
    ready_s: float = 0.0


class Subject(Protocol):
    """One row group of the results."""

    name: str
    does: str
    """What it does beside passing bytes on, in a few words."""

    def install(self, tools: Path) -> str:
        """Make it ready to start and give its version. Raises NotInstallableError."""

    def start(self, place: Place) -> Running:
        """Start it in front of the upstream. Raises TimeoutError."""


class NotInstallableError(Exception):
    """Why a peer cannot be had here; the results say so."""


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(process: Pinned, port: int, path: str, seconds: float, name: str) -> float:
    """Wait until it answers on a path. Raises TimeoutError with the end of its log."""

    def is_ready() -> bool:
        return not process.is_running or get(port, path)[0] not in {0, 502, 503}

    taken_s = wait_until(is_ready, seconds, name)
    if not process.is_running:
        raise TimeoutError(f"{name} ended: {process.log.read_text()[-500:]}")
    return taken_s


def environment_of(tools: Path, name: str, *packages: str) -> Path:
    """An environment of its own with these packages, made once. Raises NotInstallableError."""
    folder = tools / name
    done = folder / ".installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        run_quietly([str(folder / "bin/pip"), "install", "--quiet", *packages])
        done.touch()
    return folder


def version_of(environment: Path, package: str) -> str:
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    return run_quietly([str(environment / "bin/python"), "-c", program]).strip()


def run_quietly(command: list[str], *, folder: Path | None = None) -> str:
    """Run and give the output. Raises NotInstallableError with its last words."""
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=folder, timeout=900
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise NotInstallableError(str(said).strip()[-300:]) from error
    return ran.stdout or ran.stderr


PYTHON = os.environ.get("BENCH_PYTHON", sys.executable)
"""The interpreter that Ringfence is run by, unless another is chosen."""

_ROOT = Path(__file__).parents[2]


_TELL = """
import platform, sys, sysconfig
asked = str(sysconfig.get_config_var("CONFIG_ARGS"))
who = "Debian's build" if sys.base_prefix == "/usr" else "own build"
how = "with" if "--enable-optimizations" in asked else "without"
print("CPython", platform.python_version() + ",", who, how, "--enable-optimizations")
"""


def interpreter(python: str = sys.executable) -> str:
    """Version and build of an interpreter. Debian optimises by rules of its own packaging."""
    return run_quietly([python, "-c", _TELL]).strip()


def runtime_of(tools: Path, python: str) -> str:
    """An interpreter like that one with the locked dependencies of Ringfence, made once.

    Raises NotInstallableError.
    """
    version = run_quietly([python, "-c", "import sys; print(sys.version)"])
    name = f"python-{hashlib.sha256(f'{python} {version}'.encode()).hexdigest()[:12]}"
    folder = tools / name
    done = folder / ".installed"
    if not done.exists():
        run_quietly(
            [sys.executable, "-m", "uv", "venv", "--quiet", "--python", python, str(folder)]
        )
        locked = str(_ROOT / "requirements/run.txt")
        into = ["--quiet", "--python", str(folder / "bin/python"), "--require-hashes", "-r", locked]
        run_quietly([sys.executable, "-m", "uv", "pip", "install", *into])
        done.touch()
    return str(folder / "bin/python")
