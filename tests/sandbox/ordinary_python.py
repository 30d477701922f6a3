"""A Python of the tests' own version that an ordinary user can start."""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
_SAY = "import sys; print('python%d.%d' % sys.version_info[:2])"
_UNNEEDED = shutil.ignore_patterns("site-packages", "test", "idlelib", "tkinter", "__pycache__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """Its path, and the variables that it needs."""

    path: str
    variables: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def python_for(uid: int) -> Python:
    """Ours, that of the machine, or a copy of ours; packages are built for one version alone."""
    for each in (sys.executable, "/usr/bin/python3", f"/usr/bin/{_VERSION}"):
        if _runs(found := Python(path=each), uid):
            return found
    return _copied(uid)


def _runs(python: Python, uid: int) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 (a Python of this machine)
            [python.path, "-I", "-c", _SAY],
            user=uid,
            group=uid,
            extra_groups=[],
            cwd="/",
            env=python.variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except OSError:
        return False
    return done.stdout.strip() == _VERSION


def _copied(uid: int) -> Python:
    """Links to its files, whose folder a home may hide."""
    folder = Path(tempfile.mkdtemp(prefix="python-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    ours = Path(sys.base_prefix)
    python = folder / "bin" / _VERSION
    python.parent.mkdir()
    _link(ours / "bin" / _VERSION, python)
    shutil.copytree(
        ours / "lib" / _VERSION,
        folder / "lib" / _VERSION,
        ignore=_UNNEEDED,
        copy_function=_link,
    )
    for library in (ours / "lib").glob("libpython*.so*"):
        _link(library, folder / "lib" / library.name)
    made = Python(path=str(python), variables={"LD_LIBRARY_PATH": str(folder / "lib")})
    if not _runs(made, uid):
        raise RuntimeError(f"user {uid} can start no {_VERSION}: install one in /usr/bin")
    return made


def _link(from_: str | Path, to: str | Path) -> str:
    try:
        os.link(Path(from_).resolve(), to)
    except OSError:  # on another file system
        shutil.copy2(from_, to)
    return str(to)
