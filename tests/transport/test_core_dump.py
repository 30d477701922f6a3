import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has it")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs two processes of an ordinary user")
_IMPORT = "import resource; from ringfence.transport.core_dump import forbid_core_dumps as f;"
_FORBID = _IMPORT + "assert f();"
# Who changes its user cannot be traced in any case: an ordinary process is as this leaves it.
_DROP = (
    _IMPORT + "import ctypes, os; os.setgroups([]); os.setgid(65534); os.setuid(65534);"
    "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0);"
)
_WAIT = "print('ready', flush=True); input()"


def start(code: str, folder: Path | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
    )


@LINUX
def test_a_process_that_crashes_leaves_no_core(tmp_path: Path) -> None:
    code = "import os, resource as r; print(r.getrlimit(r.RLIMIT_CORE), flush=True); os.abort()"
    process = start(_FORBID + code, tmp_path)
    out, _ = process.communicate(timeout=20)
    assert out == b"(0, 0)\n"
    assert process.returncode == -signal.SIGABRT
    assert list(tmp_path.iterdir()) == []


@LINUX
def test_it_is_said_to_the_kernel() -> None:
    out, _ = start(_FORBID + "import ctypes; print(ctypes.CDLL(None).prctl(3))").communicate()
    assert out == b"0\n"


@LINUX
@ROOT
@pytest.mark.parametrize("file", ["environ", "mem", "maps", "fd"])
@pytest.mark.parametrize("is_forbidden", [True, False])
def test_neighbours_of_the_same_user_read_nothing_of_it(file: str, *, is_forbidden: bool) -> None:
    process = start(_DROP + (_FORBID if is_forbidden else "") + _WAIT)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        path = f"/proc/{process.pid}/{file}"
        act = f"os.listdir('{path}')" if file == "fd" else f"open('{path}', 'rb')"
        looker = start(_DROP + act)
        _, error = looker.communicate(timeout=20)
        assert (looker.returncode, b"Permission denied" in error) == (
            int(is_forbidden),
            is_forbidden,
        )
    finally:
        process.communicate(b"\n", timeout=60)


@LINUX
@ROOT
def test_it_still_reads_its_own_descriptors() -> None:
    code = "d = os.memfd_create('x'); os.write(d, b'own');print(open(f'/proc/self/fd/{d}').read())"
    out, _ = start(_DROP + _FORBID + code).communicate(timeout=20)
    assert out == b"own\n"
