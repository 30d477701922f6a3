"""A process is told on its own standard error, and nobody is waited for."""

import os
import subprocess
from pathlib import Path

from ringfence.sandbox.telling import tell


def test_a_line_stands_where_the_process_itself_would_write_it() -> None:
    with subprocess.Popen(["/bin/sleep", "20"], stderr=subprocess.PIPE) as running:
        assert tell(running.pid, "git is not yours")
        running.kill()
        assert running.stderr is not None
        assert running.stderr.read() == b"git is not yours\n"


def test_a_file_gets_it_too(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(["/bin/sleep", "20"], stderr=log) as running,
    ):
        assert tell(running.pid, "no")
        running.kill()
    assert (tmp_path / "log").read_bytes() == b"no\n"


def test_whoever_does_not_read_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writing, True)
    with subprocess.Popen(["/bin/sleep", "20"], stderr=writing) as running:
        assert not tell(running.pid, "no")
        running.kill()
    os.close(reading)
    os.close(writing)


def test_one_that_is_gone_or_reads_nowhere_is_told_nothing() -> None:
    assert not tell(2**22 + 1, "no")
    with subprocess.Popen(["/bin/sleep", "20"], stderr=subprocess.DEVNULL) as running:
        assert not tell(running.pid, "no")
        running.kill()


def test_a_long_message_is_cut() -> None:
    with subprocess.Popen(["/bin/sleep", "20"], stderr=subprocess.PIPE) as running:
        assert tell(running.pid, "x" * 10_000)
        running.kill()
        assert running.stderr is not None
        assert len(running.stderr.read()) == 2_000


def test_a_terminal_is_told_and_one_that_is_another_for_each_who_opens_it_is_not() -> None:
    ours, theirs = os.openpty()
    with subprocess.Popen(["/bin/sleep", "20"], stderr=theirs) as running:
        assert tell(running.pid, "no")
        assert os.read(ours, 100) == b"no\r\n"
        running.kill()
    with subprocess.Popen(["/bin/sleep", "20"], stderr=ours) as running:
        assert not tell(running.pid, "no")
        running.kill()
    for each in (ours, theirs):
        os.close(each)
