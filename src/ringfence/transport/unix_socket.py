"""Unix sockets at a path, also where it is too long for one, and who is at the other end."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ringfence.domain.error import UsageError

ADDRESS_BYTES: Final = 103
"""The longest path: `sun_path` holds 104 bytes on macOS, 108 on Linux; one ends it."""
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid


def make() -> socket.socket:
    """A socket for `bind` or `connect`. Raises UsageError `no_plane_here` where there is none."""
    family = getattr(socket, "AF_UNIX", None)
    if family is None:
        raise no_plane_here()
    return socket.socket(family, socket.SOCK_STREAM)


def no_plane_here() -> UsageError:
    """This system lacks what a plane and the commands that speak with it are made of."""
    return UsageError(
        "no_plane_here",
        "this needs a plane, which works on Linux and macOS, and not on this system",
        help="start one there, or in WSL 2; agents here can use the gateways of such a plane by"
        " its address (`ringfence up --host`)",
    )


def fits(path: str) -> bool:
    """Whether a path can stand as it is for a socket's address."""
    return len(os.fsencode(path)) <= ADDRESS_BYTES


def bind(listener: socket.socket, path: Path) -> None:
    """Bind for the owner alone; the folder's mode keeps others out until then. Raises OSError."""
    with address_of(path) as address:
        listener.bind(address)
    path.chmod(0o600)


def connect(connection: socket.socket, path: Path) -> None:
    """Connect to whoever listens there. Raises OSError."""
    with address_of(path) as address:
        connection.connect(address)


@contextlib.contextmanager
def address_of(path: Path) -> Iterator[str]:
    """What to bind or connect to while this lasts; by way of the open folder if need be.

    Raises OSError. Without `/proc` the kernel refuses a path that is too long.
    """
    if fits(str(path)):
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def peer_uid(connection: socket.socket) -> int | None:
    """The user at the other end; None on systems without SO_PEERCRED.

    There (macOS and the BSDs have LOCAL_PEERCRED instead, which Python does not name) the folder's
    mode 0700 alone keeps others out. Source: unix(7).
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    raw = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return int(uid)
