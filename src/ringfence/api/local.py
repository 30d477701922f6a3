"""The Unix socket by which the command line reaches its plane: where it is, and if it answers."""

import os
import socket
from pathlib import Path

from ringfence.domain.error import UsageError
from ringfence.transport import unix_socket

FILE = "control.sock"


def address(folder: Path) -> str:
    """The socket's address in a data folder; relative where the absolute one is too long.

    Raises UsageError `socket_path_too_long`.
    """
    path = folder.absolute() / FILE
    for candidate in (str(path), os.path.relpath(path)):
        if unix_socket.fits(candidate):
            return candidate
    raise UsageError(
        "socket_path_too_long",
        f"the data folder `{folder}` has too long a path for a Unix socket",
        help="name a shorter one with --data",
    )


def is_answering(socket_address: str) -> bool:
    """Whether somebody listens there. A socket file alone may be left over from a crash."""
    with unix_socket.make() as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(socket_address)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True  # somebody is there, slow or closed to us
        return True


def check_own(folder: Path) -> None:
    """Raises UsageError `folder_of_another` for a data folder that we may not look into."""
    if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        raise UsageError(
            "folder_of_another",
            f"the data folder `{folder}` belongs to another user",
            help="call this as that user, or name another folder with --data",
        )


def check_unused(folder: Path) -> None:
    """Raises UsageError `plane_running` if a plane runs here, and `folder_of_another`."""
    check_own(folder)
    if is_answering(address(folder)):
        raise UsageError(
            "plane_running",
            f"another plane is running with the data folder `{folder}`",
            help="stop it first, or name another folder with --data",
        )


def bind(folder: Path) -> socket.socket:
    """A listening-ready socket in the data folder, for its owner alone.

    Raises UsageError `plane_running`, `data_folder_unusable` or `socket_path_too_long`.
    """
    check_unused(folder)
    where = address(folder)
    bound = unix_socket.make()
    try:
        Path(where).unlink(missing_ok=True)
        unix_socket.bind(bound, Path(where))
    except OSError as error:
        bound.close()
        raise UsageError(
            "data_folder_unusable",
            f"no socket can be made in the data folder `{folder}`: {error.strerror}",
            help="name another one with --data",
        ) from error
    return bound
