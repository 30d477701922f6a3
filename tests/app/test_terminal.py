"""A plane ends with the terminal that it was started in, and reloads on SIGHUP otherwise."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringfence.app import terminal

PROGRAM = """\
import os, signal, sys, time
from ringfence.app import terminal
was_attached = terminal.is_attached()
out = open(sys.argv[1], "w", buffering=1)
def hang_up(*_):
    if terminal.is_gone(was_attached=was_attached):
        print("end", file=out)
        sys.exit(0)
    print("reload", file=out)
signal.signal(signal.SIGHUP, hang_up)
print("attached" if was_attached else "alone", file=out)
os.write(1, b"ready")
while True:
    time.sleep(0.05)
"""
SOURCE = str(Path(terminal.__file__).parents[2])


def said(path: Path, count: int) -> list[str]:
    """What the program has written, once it is so many lines."""
    lines: list[str] = []
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        lines = path.read_text(encoding="utf-8").split() if path.exists() else []
        if len(lines) >= count:
            return lines
        select.select([], [], [], 0.02)
    pytest.fail(f"it said only {lines}")


def test_a_program_in_a_terminal_reloads_until_the_terminal_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "said"
    child, master = os.forkpty()
    if child == 0:
        environment = {"PYTHONPATH": SOURCE}
        os.execve(sys.executable, [sys.executable, "-c", PROGRAM, str(path)], environment)  # noqa: S606 (our own program)
    try:
        assert said(path, 1) == ["attached"]
        os.kill(child, signal.SIGHUP)
        assert said(path, 2) == ["attached", "reload"]
    finally:
        os.close(master)
    assert said(path, 3) == ["attached", "reload", "end"]
    assert os.waitpid(child, 0)[1] == 0


def test_a_program_without_a_terminal_always_reloads(tmp_path: Path) -> None:
    path = tmp_path / "said"
    command = [sys.executable, "-c", PROGRAM, str(path)]
    with subprocess.Popen(  # noqa: S603 (our own program)
        command,
        env={"PYTHONPATH": SOURCE},
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    ) as running:
        try:
            assert said(path, 1) == ["alone"]
            running.send_signal(signal.SIGHUP)
            assert said(path, 2) == ["alone", "reload"]
        finally:
            running.kill()


def test_what_was_never_there_is_not_gone() -> None:
    assert not terminal.is_gone(was_attached=False)
