import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sandbox import jail

from ringfence.domain.agent import SandboxTier
from ringfence.domain.monitoring import CallRefused
from ringfence.sandbox.refused_call import (
    RefusedCall,
    RefusedCallCount,
    read_address,
    refused,
    refused_connect,
)


class Timer:
    """Calls back when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.cancelled = 0

    def call_later(self, delay: float, callback: Callable[[], None]) -> "Timer":
        assert delay > 0
        self.waiting.append(callback)
        return self

    def cancel(self) -> None:
        self.cancelled += 1

    def turn(self) -> None:
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each()


def counting() -> tuple[RefusedCallCount, Timer, list[CallRefused]]:
    timer, told = Timer(), list[CallRefused]()
    return RefusedCallCount(timer, told.append), timer, told


def test_the_first_of_each_is_told_at_once_and_then_how_often() -> None:
    count, timer, told = counting()
    for _ in range(5):
        count.saw(RefusedCall(pid=7, call="socket", to="unix stream 0", error="EAFNOSUPPORT"))
    count.saw(RefusedCall(pid=7, call="ptrace", error="EPERM"))
    assert [(each.call, each.times) for each in told] == [("socket", 1), ("ptrace", 1)]
    timer.turn()
    assert [(each.call, each.times) for each in told[2:]] == [("socket", 4)]
    timer.turn()
    assert len(told) == 3


def test_however_much_is_tried_what_is_told_is_bounded() -> None:
    count, timer, told = counting()
    for port in range(10_000):
        count.saw(RefusedCall(pid=7, call="tcp", to=f"192.0.2.1:{port}"))
    assert len(told) <= 65
    timer.turn()
    assert len(told) <= 66
    assert sum(each.times for each in told) == 10_000
    assert told[-1].to == "others"


def test_what_is_left_is_told_at_the_end() -> None:
    count, timer, told = counting()
    for _ in range(3):
        count.saw(RefusedCall(pid=7, call="bpf", error="EPERM"))
    count.finish()
    assert [each.times for each in told] == [1, 2]
    assert timer.cancelled == 1


@pytest.mark.parametrize(
    ("name", "arguments", "shown"),
    [
        ("socket", (1 + (1 << 32), 1, 0), "unix stream 0"),
        ("socket", (2, 0x80802, 58), "inet datagram 58"),
        ("socket", (30, 9, 0), "30 9 0"),
        ("ioctl", (0, 0x5412 + (7 << 40), 0), "TIOCSTI"),
        ("setsockopt", (3, 6, 31), "level 6 option 31"),
        ("ptrace", (16, 1, 0), "0x10"),
        ("io_uring_setup", (8, 0, 0), ""),
    ],
)
def test_what_says_something_of_a_refused_call_is_shown(
    name: str, arguments: tuple[int, int, int], shown: str
) -> None:
    found = refused(7, name, (*arguments, 0, 0, 0), errno.EPERM)
    assert found == RefusedCall(pid=7, call=name, to=shown, error="EPERM")


def test_a_connection_that_the_monitor_does_not_make_says_where_it_was_going() -> None:
    assert refused_connect(7, 10, "2001:db8::7", 22).to == "[2001:db8::7]:22"
    assert refused_connect(7, 1, "", 0).to == "unix"


def test_an_address_is_read_in_any_family() -> None:
    mapped = b"\x0a\0\0\x19" + bytes(4) + bytes(10) + b"\xff\xff\xc0\0\2\7"
    assert read_address(b"\2\0\0\x19\xc0\0\2\7" + bytes(8)) == (2, "192.0.2.7", 25)
    assert read_address(mapped) == (10, "192.0.2.7", 25)
    assert read_address(b"\1\0/run/x") == (1, "", 0)
    for cut in (b"", b"\2", b"\2\0\0", mapped[:20]):
        with pytest.raises(ValueError, match="cut short"):
            read_address(cut)


_TRYING = """
import ctypes, socket
libc = ctypes.CDLL(None, use_errno=True)
def tell(name, do):
    try:
        do()
        print(name, "DONE")
    except OSError as error:
        print(name, error.errno)
def call(number, *arguments):
    if libc.syscall(number, *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")
tell("unix", lambda: socket.socket(1, 1))
tell("ring", lambda: call(425, 8, 0))
with socket.socket() as s:
    s.settimeout(2)
    tell("mail", lambda: s.connect(("192.0.2.7", 25)))
with socket.socket() as s:
    s.settimeout(2)
    tell("own", lambda: s.connect(("127.0.0.1", 25)))
if STRICT:
    with socket.socket(type=2) as s:
        tell("quic", lambda: s.sendto(b"x", ("192.0.2.7", 443)))
    with socket.socket(type=2) as s:
        tell("connected", lambda: s.connect(("192.0.2.8", 443)))
        tell("unconnected", lambda: call(CONNECT, s.fileno(), 1, 16))
"""


def test_what_comes_to_nothing_is_told_of(tier: SandboxTier, root: Path) -> None:
    from ringfence.transport.kernel.syscall import architecture  # noqa: PLC0415 (of Linux alone)

    is_strict = tier is SandboxTier.STRICT
    head = f"STRICT = {is_strict}\nCONNECT = {architecture().numbers['connect']}\n"
    found = jail.run(jail.plan_of(tier, root, [jail.PYTHON, "-c", head + _TRYING]), root=root)
    became = dict(line.split() for line in found.out.splitlines())
    told = {(each["call"], each["to"], each["error"]) for each in found.refused_calls}
    assert ("socket", "unix stream 0", "EAFNOSUPPORT") in told
    assert ("io_uring_setup", "", "EPERM") in told
    assert became["unix"] == str(errno.EAFNOSUPPORT)
    assert became["ring"] == str(errno.EPERM)
    if not is_strict:
        wanted = {(each["address"], each["port"]) for each in found.connects}
        assert wanted == {("192.0.2.7", 25), ("127.0.0.1", 25)}
        return
    assert became["mail"] == str(errno.ECONNREFUSED)
    assert ("tcp", "192.0.2.7:25", "") in told
    assert ("udp", "192.0.2.7:443", "") in told
    assert ("udp", "192.0.2.8:443", "") in told
    assert became["unconnected"] == str(errno.EFAULT)  # what cannot be read is the kernel's to say
    assert not any("127.0.0.1" in to for _, to, _ in told)  # a server of its own may be there
