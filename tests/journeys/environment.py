"""Gives each client an environment of its own under `.journeys/`, made once for each manifest."""

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(__file__).resolve().parent / "clients"
DRIVING = Path(__file__).resolve().parent / "driving"
INSTALLED = ROOT / ".journeys"
_INSTALL_S = 900.0


class InstallError(Exception):
    """A client could not be installed."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a client is installed, and how its driver is started."""

    folder: Path
    python: Path
    commands: Path
    """Where the client's own commands lie."""

    def home(self, case: str) -> Path:
        """A home folder for one run: empty, but for what the client unpacks once."""
        home = self.folder / "homes" / case
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        return home

    def variables(self, case: str) -> dict[str, str]:
        """The variables of a driver: nothing of the caller's but the path."""
        home = self.home(case)
        cache = self.folder / "cache"
        cache.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CACHE_HOME": str(cache),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(DRIVING),
            "JOURNEY_BIN": str(self.commands),
            **_QUIET,
        }


# Measured: every client runs without a network; these spare the attempts.
_QUIET = {
    "OTEL_SDK_DISABLED": "true",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


async def prepare(name: str) -> Environment:
    """Install a client unless its manifest is installed already. Raises InstallError."""
    source = CLIENTS / name
    folder = INSTALLED / name
    manifests = [
        source / file
        for file in ("requirements.txt", "package.json", "package-lock.json")
        if (source / file).exists()
    ]
    is_npm = (source / "package.json").exists()
    environment = (
        Environment(folder, Path(sys.executable), folder / "npm/node_modules/.bin")
        if is_npm
        else Environment(folder, folder / "venv/bin/python", folder / "venv/bin")
    )
    stamp = folder / "installed"
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in manifests)).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return environment
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    await (_install_npm if is_npm else _install_python)(source, folder)
    stamp.write_text(digest)
    return environment


async def _install_python(source: Path, folder: Path) -> None:
    venv = folder / "venv"
    await _run([sys.executable, "-m", "venv", str(venv)], folder)
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
    await _run([*pip, "-r", str(source / "requirements.txt")], folder)


async def _install_npm(source: Path, folder: Path) -> None:
    place = folder / "npm"
    place.mkdir()
    for file in ("package.json", "package-lock.json"):
        shutil.copy(source / file, place)
    await _run(["npm", "ci", "--no-audit", "--no-fund"], place)


async def _run(command: Sequence[str], folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _INSTALL_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise InstallError(f"{command[0]} took over {_INSTALL_S:.0f} s") from None
    if process.returncode:
        raise InstallError(output.decode(errors="replace")[-2000:])
