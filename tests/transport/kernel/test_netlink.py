import ctypes
import errno
import os
import socket
import struct
from typing import Any

import pytest
from tests.transport.kernel.child import in_child, needs_linux, number

from ringfence.transport.kernel import namespace, netlink
from ringfence.transport.kernel.syscall import library

pytestmark = [needs_linux, pytest.mark.usefixtures("has_namespaces")]


def _alone() -> None:
    uid, gid = os.geteuid(), os.getegid()
    namespace.unshare(namespace.USER | namespace.NETWORK)
    namespace.map_ids(uid=0, gid=0, outer_uid=uid, outer_gid=gid)


def _connect(client: socket.socket, host: str, port: int) -> None:
    """By the C library: the guard of the tests does not know that this namespace has no way out."""
    packed = socket.inet_pton(client.family, host)
    before = b"" if client.family == socket.AF_INET else bytes(4)
    raw = struct.pack("=H", client.family) + struct.pack("!H", port) + before + packed + bytes(8)
    if library().connect(client.fileno(), raw, 16 if client.family == socket.AF_INET else 28):
        raise OSError(ctypes.get_errno(), "connect")


@pytest.mark.parametrize(
    ("family", "place", "far"),
    [
        (socket.AF_INET, "0.0.0.0", "192.0.2.7"),  # noqa: S104 (in a namespace of its own)
        (socket.AF_INET6, "::", "2001:db8::7"),
    ],
)
def test_every_address_is_heard_with_where_it_was_meant_to_go(
    family: int, place: str, far: str
) -> None:
    def do() -> list[Any]:
        _alone()
        netlink.answer_for_every_address()
        with socket.socket(family) as server, socket.socket(family) as client:
            server.bind((place, 0))
            server.listen()
            _connect(client, far, server.getsockname()[1])
            taken, _ = server.accept()
            with taken, socket.socket(family) as another:
                refused = number(lambda: _connect(another, far, 1))
                return [taken.getsockname()[0], refused]

    assert in_child(do, is_ordinary=True) == [far, errno.ECONNREFUSED]


def test_without_the_right_to_it_the_kernel_refuses() -> None:
    found = in_child(lambda: number(lambda: netlink.send(netlink.link_up())), is_ordinary=True)
    assert found == errno.EPERM


def test_messages_are_as_the_kernel_reads_them() -> None:
    assert len(netlink.link_up()) == 32
    assert netlink.link_up()[:4] == b"\x20\0\0\0"
    assert netlink.local_route(socket.AF_INET)[16:28] == bytes(
        [2, 0, 0, 0, 255, 2, 254, 2, 0, 0, 0, 0]
    )
    assert netlink.local_route(socket.AF_INET)[28:] == b"\x08\0\x04\0\x01\0\0\0"
