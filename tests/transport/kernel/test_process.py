import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import NoReturn

import pytest
from tests.transport.kernel.child import needs_linux

from ringfence.transport.kernel import process
from ringfence.transport.kernel.process import Identity

pytestmark = needs_linux


def test_a_thread_belongs_to_its_process() -> None:
    found: list[Identity] = []
    thread = threading.Thread(
        target=lambda: found.append(process.identity(threading.get_native_id()))
    )
    thread.start()
    thread.join()
    assert found == [Identity(os.getpid(), os.getppid())]


def test_an_older_kernel_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    told = process.identity(pid)
    monkeypatch.setattr(process, "_GET_INFO", 0xC040FF7F)  # a number that no kernel knows
    read = process.identity(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert told == read == Identity(pid, os.getpid())


def test_who_has_gone_has_no_identity() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(OSError, match=str(pid)):
        process.identity(pid)


def test_a_descriptor_of_another_process_is_shared() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writing, 99)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    taken = process.get_descriptor(pid, 99)
    os.write(taken, b"through")
    assert os.read(reading, 10) == b"through"
    for each in (taken, reading, writing):
        os.close(each)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _killed() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize(("end", "code"), [(lambda: os._exit(7), 7), (_killed, -9)])
def test_how_a_process_ended_is_known_after_it_was_waited_for(
    end: Callable[[], NoReturn], code: int
) -> None:
    pid = os.fork()
    if pid == 0:
        end()
    pidfd = os.pidfd_open(pid)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert process.exit_status(pidfd) is None
    except OSError:
        pytest.skip("this kernel does not tell how a process ended")
    finally:
        os.waitpid(pid, 0)
    status = process.exit_status(pidfd)
    os.close(pidfd)
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == code


def test_what_is_no_socket_is_not_kept_open() -> None:
    with open(os.devnull, "rb") as file:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            with pytest.raises(OSError, match="non-socket"):
                process.get_socket(os.getpid(), file.fileno())
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_socket_of_another_is_the_same_socket() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as theirs,
        process.get_socket(os.getpid(), theirs.fileno()) as ours,
    ):
        assert ours.getsockname() == theirs.getsockname()
