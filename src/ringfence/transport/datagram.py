"""Datagrams on a socket that takes them for any address, each answered from where it was sent to.

Source: ip(7) `IP_PKTINFO` and `IP_FREEBIND`, ipv6(7) `IPV6_RECVPKTINFO`. An address that only a
route makes local is not one of an interface, so that the kernel would refuse it as a source; that
is what the free binding is for.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final, final

_IP_PKTINFO, _IP_FREEBIND, _IPV6_FREEBIND = 8, 15, 78
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50
_PKTINFO: Final = struct.Struct("=I4s4s")
_PKTINFO6: Final = struct.Struct("=16sI")
_MESSAGE_BYTES: Final = 4096
_CONTROL_BYTES: Final = 256
_AT_ONCE: Final = 64
"""How many are taken before others have their turn."""

Reply = Callable[[bytes], None]
Take = Callable[[bytes, int, Reply], None]
"""Given a message, the port that it came from, and how to answer it."""


@final
class Datagrams:
    """Reads one socket until it is closed; answers that the kernel does not take are dropped."""

    def __init__(self, listener: socket.socket, take: Take) -> None:
        """Begin to read, inside the running loop. Raises OSError."""
        self._socket = listener
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._is_v6 = listener.family == socket.AF_INET6
        listener.settimeout(0)
        if self._is_v6:
            listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
            with contextlib.suppress(OSError):
                listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            listener.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        self._loop.add_reader(listener.fileno(), self._read)

    def close(self) -> None:
        """Read no more; harmless a second time."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, controls, _, peer = self._socket.recvmsg(_MESSAGE_BYTES, _CONTROL_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.close()
                return
            self._take(data, int(peer[1]), self._answering(controls, peer))

    def _answering(self, controls: list[tuple[int, int, bytes]], peer: tuple[object, ...]) -> Reply:
        source = self._source(controls)

        def reply(data: bytes) -> None:
            with contextlib.suppress(OSError):
                self._socket.sendmsg([data], source, 0, peer)

        return reply

    def _source(self, controls: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
        """The address that was asked, as the one to answer from."""
        for level, kind, data in controls:
            if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
                _, _, asked = _PKTINFO.unpack(data[: _PKTINFO.size])
                return [(level, kind, _PKTINFO.pack(0, asked, bytes(4)))]
            if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
                asked6, _ = _PKTINFO6.unpack(data[: _PKTINFO6.size])
                return [(level, kind, _PKTINFO6.pack(asked6, 0))]
        return []


def is_own(address: str) -> bool:
    """Whether an address is one of this machine's; if nobody can tell, it is."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            return error.errno not in _NOT_HERE
        return True


_NOT_HERE: Final = frozenset({99, 97})
"""`EADDRNOTAVAIL`, and `EAFNOSUPPORT` where there is no such network at all (errno(3), Linux)."""
