"""Processes are followed by descriptor, so that a number that is used again means no other."""

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.transport.kernel.child import needs_linux

from ringfence.sandbox.followed import Exited, Followed
from ringfence.transport.kernel import process
from ringfence.transport.kernel.process import Identity

pytestmark = needs_linux


@pytest.fixture
def followed() -> Iterator[Followed]:
    made = Followed()
    yield made
    made.close()


def child(code: int = 0) -> tuple[int, int]:
    """A process that ends with this code when something is written; its pid, and where to."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(reading, 1)
        os._exit(code)
    os.close(reading)
    return pid, writing


def end(pid: int, gate: int) -> None:
    os.write(gate, b"x")
    os.close(gate)
    os.waitpid(pid, 0)


def ends_of(followed: Followed) -> list[Exited]:
    """What is told, once something is."""
    until = time.monotonic() + 60
    while not (found := followed.ended()) and time.monotonic() < until:
        time.sleep(0.001)
    return found


def open_here() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_end_of_a_process_is_told_once(followed: Followed) -> None:
    pid, gate = child(code=3)
    assert followed.meet(pid) == Identity(pid, os.getpid())
    assert followed.follow(pid) is None
    assert followed.follow(pid) is None, "it executes something else"
    assert followed.meet(pid) == Identity(pid, os.getpid())
    assert followed.ended() == []
    end(pid, gate)
    (told,) = ends_of(followed)
    assert told in {Exited(pid=pid, exit_code=3), Exited(pid=pid)}
    assert followed.ended() == followed.finish() == []


def test_one_that_nobody_has_waited_for_wakes_nobody_where_that_tells_nothing(
    followed: Followed,
) -> None:
    for number in range(3):
        pid, gate = child(code=number)
        followed.meet(pid)
        followed.follow(pid)
        os.write(gate, b"x")
        os.close(gate)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        is_awake = bool(select.select([followed], [], [], 0.01)[0])
        early = followed.ended()
        os.waitpid(pid, 0)
        (told,) = early or ends_of(followed)
        if told.exit_code is None:
            pytest.skip("this kernel does not tell how a process ended")
        assert (told.pid, told.exit_code) == (pid, number)
        assert is_awake == (number == 0), "the first shows what this kernel tells"


def test_a_thread_is_met_as_its_process(followed: Followed) -> None:
    found: list[Identity] = []
    thread = threading.Thread(target=lambda: found.append(followed.meet(threading.get_native_id())))
    thread.start()
    thread.join()
    assert found == [Identity(os.getpid(), os.getppid())]


def test_who_was_met_and_never_executed_anything_is_let_go(followed: Followed) -> None:
    pid, gate = child()
    before = open_here()
    for _ in range(5):
        followed.meet(pid)
    assert open_here() == before + 1
    end(pid, gate)
    with pytest.raises(OSError, match=str(pid)):
        followed.meet(pid)
    assert open_here() == before - 1, "the gate is closed, too"
    assert followed.finish() == []


def test_whoever_has_the_number_of_one_that_ended_is_another(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, gate = child(code=5)
    followed.meet(old)
    followed.follow(old)
    end(old, gate)
    new, gate = child()
    opened = os.pidfd_open(new)
    monkeypatch.setattr(os, "pidfd_open", lambda _pid: opened)
    monkeypatch.setattr(process, "read_identity", lambda _: Identity(old, 1))
    followed.meet(old)
    gone = followed.follow(old)
    assert gone in {Exited(pid=old, exit_code=5), Exited(pid=old)}
    assert followed.ended() == []
    end(new, gate)
    assert [each.pid for each in ends_of(followed)] == [old]


def test_what_is_left_at_the_end_is_told_without_how(followed: Followed) -> None:
    pid, gate = child()
    followed.meet(pid)
    followed.follow(pid)
    assert followed.finish() == [Exited(pid=pid)]
    assert followed.finish() == []
    end(pid, gate)


def test_a_process_is_killed_and_one_that_is_not_followed_is_left_alone(followed: Followed) -> None:
    pid, gate = child()
    followed.kill(pid)
    followed.meet(pid)
    followed.follow(pid)
    followed.kill(pid)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    os.close(gate)
    followed.kill(pid)
