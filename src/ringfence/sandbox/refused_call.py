"""Refused calls: what a process tried that came to nothing, by our answer or by the kernel's.

Where something is sent is read before the kernel reads it: evidence, as the words of a command.
What is refused is refused whatever was read.
"""

import errno
import ipaddress
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final, Protocol, final

import msgspec

from ringfence.domain.monitoring import CallRefused
from ringfence.sandbox import filter  # noqa: A004 (the noun of that module)
from ringfence.sandbox.filter import CONNECT, SEND
from ringfence.transport.kernel import bpf, process
from ringfence.transport.kernel.memory import Memory

_ADDRESS_BYTES: Final = 28
_DNS: Final = 53
_SERVED: Final = frozenset({80, 443})
"""The ports at which the plane listens whatever the address is, and records by itself."""
_INT: Final = 0xFFFFFFFF
_TYPE_BITS: Final = 0xF
_FAMILIES: Final = {
    1: "unix", 2: "inet", 10: "inet6", 16: "netlink", 17: "packet", 38: "alg", 40: "vsock",
    43: "smc", 44: "xdp",
}  # fmt: skip
_KINDS: Final = {1: "stream", 2: "datagram", 3: "raw", 5: "sequenced"}
_TERMINAL: Final = {0x5412: "TIOCSTI", 0x541C: "TIOCLINUX", 0x5423: "TIOCSETD"}


_TURN_S: Final = 1.0
_DIFFERENT_MOST: Final = 64
"""How many different ones are told of in a turn; what comes beyond is counted together."""
OTHERS: Final = "others"


class TimerHandle(Protocol):
    """Something that will be called."""

    def cancel(self) -> None:
        """It will not be."""


class Timer(Protocol):
    """Calls back later; an event loop does."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> TimerHandle:
        """Once, after so many seconds."""


class RefusedCall(msgspec.Struct, frozen=True, kw_only=True):
    """It has its answer already, and is told of; the kernel's own is that nothing is there.

    `to` is where something was sent (`address:port`), or what of its arguments says something.
    `error` is the errno's name, empty where it was left to the kernel, which leads nowhere.
    """

    pid: int
    call: str
    to: str = ""
    error: str = ""


@final
class CallRules:
    """What of the calls that are handed over is refused, by the same rules as the filter."""

    def __init__(self, *, is_reduced: bool) -> None:
        """Of one tier."""
        self._rules = filter.told(is_reduced=is_reduced)

    def names(self) -> frozenset[str]:
        """The calls of which some are refused."""
        return frozenset(self._rules)

    def errno(self, name: str, arguments: Sequence[int]) -> int:
        """With which errno it is; 0 if it is none of these."""
        return bpf.errno_of(bpf.action_of(self._rules.get(name, ()), arguments))


def refused(pid: int, name: str, arguments: Sequence[int], number: int) -> RefusedCall:
    """A call that was refused, with what of its arguments says something."""
    error = errno.errorcode.get(number, str(number))
    return RefusedCall(pid=pid, call=name, to=_shown(name, arguments), error=error)


def unread(pid: int, name: str) -> RefusedCall:
    """A call of which nothing can be read: its maker has made itself unreadable, or it is wrong."""
    return RefusedCall(pid=pid, call=name, to="unreadable", error="EACCES")


def nowhere(pid: int, name: str, arguments: Sequence[int], memory: Memory) -> RefusedCall | None:
    """Where something was sent to in a namespace of its own, if nothing of ours is there.

    None for what the plane is told of by its own listeners, and for the sandbox's own servers.
    Raises OSError or ValueError if that cannot be read.
    """
    pointer, length = arguments[1:3] if name == CONNECT else arguments[4:6]
    raw = memory.read(pointer, min(length & _INT, _ADDRESS_BYTES))
    _, address, port = read_address(raw)
    if not address or not port:
        return None
    if ipaddress.ip_address(address).is_loopback or port == _DNS:
        return None
    is_datagram = name == SEND or _is_datagram(pid, arguments[0] & _INT)
    if port in _SERVED and not is_datagram:
        return None
    return RefusedCall(pid=pid, call="udp" if is_datagram else "tcp", to=place(address, port))


def read_address(raw: bytes) -> tuple[int, str, int]:
    """Family, address and port of a `struct sockaddr`; the address is empty for other families.

    Of IPv4 where it is mapped. Raises ValueError if it is cut short.
    """
    try:
        (family,) = struct.unpack_from("=H", raw)
        if family == socket.AF_INET:
            port, packed = struct.unpack_from("!H4s", raw, 2)
            return family, str(ipaddress.IPv4Address(packed)), port
        if family == socket.AF_INET6:
            port, packed = struct.unpack_from("!H4x16s", raw, 2)
            address = ipaddress.IPv6Address(packed)
            return family, str(address.ipv4_mapped or address), port
    except struct.error as error:
        raise ValueError("an address is cut short") from error
    return family, "", 0


def place(address: str, port: int) -> str:
    """An address with its port, as in a URL."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def refused_connect(pid: int, family: int, address: str, port: int) -> RefusedCall:
    """A connection that the monitor did not make (reduced)."""
    to = place(address, port) if address else _FAMILIES.get(family, str(family))
    return RefusedCall(pid=pid, call="tcp", to=to, error="EACCES")


@final
class RefusedCallCount:
    """Tells the plane of refused calls: the first of each at once, then how often it came again.

    INVARIANT: what is told is bounded by time, however much a process tries.
    """

    def __init__(self, timer: Timer, tell: Callable[[CallRefused], None]) -> None:
        """Nothing was tried yet."""
        self._timer = timer
        self._tell = tell
        self._more: dict[RefusedCall, int] = {}
        self._turn: TimerHandle | None = None

    def saw(self, call: RefusedCall) -> None:
        """Count one."""
        if call not in self._more and len(self._more) >= _DIFFERENT_MOST:
            call = RefusedCall(pid=0, call=call.call, to=OTHERS, error=call.error)
        known = self._more.get(call)
        if known is None:
            self._more[call] = 0
            self._say(call, 1)
        else:
            self._more[call] = known + 1
        if self._turn is None:
            self._turn = self._timer.call_later(_TURN_S, self._flush)

    def finish(self) -> None:
        """Tell what is left."""
        if self._turn is not None:
            self._turn.cancel()
            self._flush()

    def _flush(self) -> None:
        more, self._more, self._turn = self._more, {}, None
        for call, times in more.items():
            if times:
                self._say(call, times)

    def _say(self, call: RefusedCall, times: int) -> None:
        self._tell(
            CallRefused(
                pid=call.pid,
                call=call.call,
                to=call.to,
                error=call.error,
                times=times,
            )
        )


def _is_datagram(pid: int, number: int) -> bool:
    with process.get_socket(pid, number) as taken:
        return taken.type == socket.SOCK_DGRAM


def _shown(name: str, arguments: Sequence[int]) -> str:
    first, second, third = (each & _INT for each in arguments[:3])
    match name:
        case "socket" | "socketpair":
            family, kind = _FAMILIES.get(first, str(first)), second & _TYPE_BITS
            return f"{family} {_KINDS.get(kind, str(kind))} {third}"
        case "ioctl":
            return _TERMINAL.get(second, hex(second))
        case "fcntl":
            return "lease"
        case "setsockopt":
            return f"level {second} option {third}"
        case "ptrace" | "bpf" | "keyctl" | "personality" | "unshare":
            return hex(first)
        case _:
            return ""
