import errno
import os
import select
import signal
from typing import Any

from tests.transport.kernel.child import in_child, needs_linux, number

from ringfence.transport.kernel import bpf, seccomp
from ringfence.transport.kernel.bpf import Rule, refuse
from ringfence.transport.kernel.seccomp import NotifyDescriptor
from ringfence.transport.kernel.syscall import architecture, call

pytestmark = needs_linux


def _program(**rules: int) -> bytes:
    return bpf.assemble(architecture(), {name: [Rule(action)] for name, action in rules.items()})


def test_a_filter_refuses_for_good() -> None:
    def do() -> list[int]:
        seccomp.no_new_privileges()
        seccomp.install(_program(getpriority=refuse(errno.EXDEV)))
        seccomp.install(_program(getpriority=bpf.ALLOW))
        return [number(lambda: call("getpriority", 0, 0)), number(lambda: call("getpid"))]

    assert in_child(do) == [errno.EXDEV, 0]


def test_a_filter_needs_no_new_privileges() -> None:
    def do() -> int:
        return number(lambda: seccomp.install(_program()))

    assert in_child(do, is_ordinary=True) == errno.EACCES


def _asking() -> tuple[int, int, int]:
    """A child that calls `getpriority` when told to; its pid, its notify descriptor, a pipe."""
    reading, writing = os.pipe()
    told_read, told_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            seccomp.no_new_privileges()
            notify = seccomp.install_notifying(_program(getpriority=bpf.NOTIFY))
            os.write(writing, str(notify).encode())
            os.read(told_read, 1)
            os.close(notify)  # or its own copy would keep it open
            try:
                os.write(writing, b" %d" % call("getpriority", 0, 0))
            except OSError as error:
                os.write(writing, b" e%d" % (error.errno or 0))
        finally:
            os._exit(0)
    number_there = int(os.read(reading, 10))
    pidfd = os.pidfd_open(pid)
    notify = call("pidfd_getfd", pidfd, number_there, 0)
    os.close(pidfd)
    os.write(told_write, b"g")
    return pid, notify, reading


def _answered(how: str) -> list[Any]:
    pid, descriptor, reading = _asking()
    notify = NotifyDescriptor(descriptor)
    select.select([descriptor], [], [], 5)
    notice = notify.receive()
    assert notice is not None
    found: list[Any] = [notice.pid == pid, notify.is_waiting(notice.id)]
    match how:
        case "let":
            notify.let(notice.id)
        case "error":
            notify.answer(notice.id, error=errno.EXDEV)
        case "value":
            notify.answer(notice.id, value=17)
        case "closed":
            notify.close()
        case "dead":
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            found.append(notify.is_waiting(notice.id))
            notify.let(notice.id)
            return found
    found.append(os.read(reading, 10).decode().strip())
    os.waitpid(pid, 0)
    return found


def test_a_call_waits_for_its_answer() -> None:
    assert in_child(lambda: _answered("let")) == [True, True, "20"]
    assert in_child(lambda: _answered("error")) == [True, True, f"e{errno.EXDEV}"]
    assert in_child(lambda: _answered("value")) == [True, True, "17"]


def test_a_call_fails_when_nobody_is_left_to_answer() -> None:
    assert in_child(lambda: _answered("closed")) == [True, True, f"e{errno.ENOSYS}"]


def test_an_answer_to_the_dead_is_no_error() -> None:
    assert in_child(lambda: _answered("dead")) == [True, True, False]


def test_a_second_listener_is_refused() -> None:
    def do() -> int:
        seccomp.no_new_privileges()
        seccomp.install_notifying(_program(getpriority=bpf.NOTIFY))
        return number(lambda: seccomp.install_notifying(_program(getpriority=bpf.NOTIFY)))

    assert in_child(do) == errno.EBUSY
