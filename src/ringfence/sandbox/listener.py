"""The listeners that are made inside a network namespace and served from outside of it.

A socket stays in the namespace in which it was made: the plane accepts on it, and nothing of ours
has to run inside. With every address being local (`transport.kernel.netlink`), what an agent sends
to port 80 or 443 of any address arrives here, and `getsockname()` tells where it was going.
"""

import socket
from typing import Final

from ringfence.domain.sandbox import ListenerKind
from ringfence.sandbox.plan import GATEWAY_PORT, PROXY_PORT
from ringfence.transport.kernel.netlink import has_ipv6

_WAITING: Final = 1024
_HTTP, _HTTPS, _DNS = 80, 443, 53
_PACKET_INFO: Final = 8  # IP_PKTINFO; Python names it from 3.14 on
_LEVEL_IPV6, _PACKET_INFO_6 = 41, 49  # IPPROTO_IPV6, IPV6_RECVPKTINFO

PROXY: Final = ("127.0.0.1", PROXY_PORT)
GATEWAY: Final = ("127.0.0.1", GATEWAY_PORT)
_ANY: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 (of a namespace without a way out)


def make() -> list[tuple[ListenerKind, socket.socket]]:
    """Every listener; those of IPv6 where the kernel has it. Raises OSError."""
    made = [
        (ListenerKind.PROXY, _stream(socket.AF_INET, PROXY)),
        (ListenerKind.GATEWAY, _stream(socket.AF_INET, GATEWAY)),
    ]
    for family in [socket.AF_INET, *([socket.AF_INET6] if has_ipv6() else [])]:
        place = _ANY[family]
        made += [
            (ListenerKind.HTTP, _stream(family, (place, _HTTP))),
            (ListenerKind.HTTPS, _stream(family, (place, _HTTPS))),
            (ListenerKind.DNS_TCP, _stream(family, (place, _DNS))),
            (ListenerKind.DNS_UDP, _datagram(family, (place, _DNS))),
        ]
    return made


def _stream(family: int, place: tuple[str, int]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    _only_its_family(listener)
    listener.bind(place)
    listener.listen(_WAITING)
    return listener


def _datagram(family: int, place: tuple[str, int]) -> socket.socket:
    """With the address that each datagram was sent to: an answer must come from there."""
    listener = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    _only_its_family(listener)
    if family == socket.AF_INET6:
        listener.setsockopt(_LEVEL_IPV6, _PACKET_INFO_6, 1)
    else:
        listener.setsockopt(socket.IPPROTO_IP, _PACKET_INFO, 1)
    listener.bind(place)
    return listener


def _only_its_family(listener: socket.socket) -> None:
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
