"""Bring up the loopback of a network namespace and make it answer for every address (AnyIP).

rtnetlink(7). A local route for 0.0.0.0/0 and ::/0 makes the kernel deliver what is sent to any
address to this namespace itself: whoever listens on a port hears it, with the original address in
`getsockname()`; a port where nobody listens refuses.
"""

import os
import socket
import struct
from typing import Final

_NETLINK: Final = 16  # AF_NETLINK
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_NEW_LINK, _NEW_ROUTE, _SAID_ERROR = 16, 24, 2
_REQUEST, _ACKNOWLEDGE, _CREATE, _REPLACE = 1, 4, 0x400, 0x100
_IS_UP: Final = 1  # IFF_UP
_TABLE_LOCAL, _BY_KERNEL, _SCOPE_HOST, _TYPE_LOCAL = 255, 2, 254, 2
_OUTGOING_LINK: Final = 4  # RTA_OIF
_LOOPBACK: Final = 1
"""The loopback is the first link of every network namespace."""


def link_up() -> bytes:
    """The message that brings the loopback up."""
    body = _LINK.pack(socket.AF_UNSPEC, 0, _LOOPBACK, _IS_UP, _IS_UP)
    return _message(_NEW_LINK, _REQUEST | _ACKNOWLEDGE, body)


def local_route(family: int) -> bytes:
    """The message that makes every address of a family this namespace's own."""
    body = _ROUTE.pack(family, 0, 0, 0, _TABLE_LOCAL, _BY_KERNEL, _SCOPE_HOST, _TYPE_LOCAL, 0)
    link = struct.pack("=I", _LOOPBACK)
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(link), _OUTGOING_LINK) + link
    flags = _REQUEST | _ACKNOWLEDGE | _CREATE | _REPLACE
    return _message(_NEW_ROUTE, flags, body + attribute)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def send(message: bytes) -> None:
    """Send one message and await its acknowledgement. Raises OSError."""
    with socket.socket(_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as channel:
        channel.bind((0, 0))
        channel.send(message)
        answer = channel.recv(65536)
    _length, kind, *_ = _HEADER.unpack_from(answer)
    (code,) = _ERROR.unpack_from(answer, _HEADER.size)
    if kind == _SAID_ERROR and code:
        raise OSError(-code, os.strerror(-code), "rtnetlink")


def answer_for_every_address() -> None:
    """Loopback up, and both families routed to it; IPv6 only where the kernel has it."""
    send(link_up())
    send(local_route(socket.AF_INET))
    if has_ipv6():
        send(local_route(socket.AF_INET6))


def has_ipv6() -> bool:
    """Whether sockets of IPv6 can be made and bound."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
