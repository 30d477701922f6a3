import os
import socket
from typing import Any

import pytest
from tests.transport.kernel.child import has_namespaces, in_child, needs_linux

from ringfence.domain.sandbox import ListenerKind
from ringfence.sandbox import listener
from ringfence.transport.kernel import namespace, netlink

__all__ = ["has_namespaces"]
pytestmark = [needs_linux, pytest.mark.usefixtures("has_namespaces")]


def _made() -> list[Any]:
    uid, gid = os.geteuid(), os.getegid()
    namespace.unshare(namespace.USER | namespace.NETWORK)
    namespace.map_ids(uid=uid, gid=gid, outer_uid=uid, outer_gid=gid)
    netlink.answer_for_every_address()
    return [
        [kind, each.family, list(each.getsockname()[:2]), each.type]
        for kind, each in listener.make()
    ]


def test_there_is_a_listener_for_everything_an_agent_may_speak() -> None:
    found = in_child(_made, is_ordinary=True)
    kinds = [kind for kind, *_ in found]
    assert set(kinds) == set(ListenerKind)
    for kind, port in (("http", 80), ("https", 443), ("dns_udp", 53), ("dns_tcp", 53)):
        places = [place for each, _, place, _ in found if each == kind]
        assert places == [["0.0.0.0", port], ["::", port]]  # noqa: S104 (of a namespace without a way out)
    assert [place for each, _, place, _ in found if each == "proxy"] == [["127.0.0.1", 3128]]
    assert [place for each, _, place, _ in found if each == "gateway"] == [["127.0.0.1", 8484]]


def test_a_datagram_tells_where_it_was_sent_to() -> None:
    def do() -> list[int]:
        _made_listeners = dict(enumerate(_listeners()))
        found = []
        for each in _made_listeners.values():
            family = each.family
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.sendto(b"?", ("127.0.0.9" if family == socket.AF_INET else "::1", 53))
            each.setblocking(True)
            _, beside, _, _ = each.recvmsg(10, 256)
            found += [level for level, _, _ in beside]
        return found

    assert in_child(do, is_ordinary=True) == [socket.IPPROTO_IP, socket.IPPROTO_IPV6]


def _listeners() -> list[socket.socket]:
    uid, gid = os.geteuid(), os.getegid()
    namespace.unshare(namespace.USER | namespace.NETWORK)
    namespace.map_ids(uid=uid, gid=gid, outer_uid=uid, outer_gid=gid)
    netlink.answer_for_every_address()
    return [each for kind, each in listener.make() if kind is ListenerKind.DNS_UDP]
