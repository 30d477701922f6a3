"""Landlock: a process gives up access to files, ports and other processes, for good.

linux/landlock.h and landlock(7). What an older kernel does not know is left out of what is asked,
so that the caller must look at `abi()` to know what holds.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ringfence.transport.kernel.syscall import call

_VERSION: Final = 1
_BENEATH: Final = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIRECTORY = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_MAKE_CHARACTER, _MAKE_BLOCK = 1 << 6, 1 << 11
_FILES_BY_ABI: Final = {1: (1 << 13) - 1, 2: REFER, 3: TRUNCATE, 5: IOCTL_DEVICE}
_TCP: Final = 0b11  # bind and connect, ABI 4
_SCOPES: Final = 0b11  # abstract Unix sockets and signals, ABI 6
_ABI_TCP, _ABI_SCOPES = 4, 6

READ: Final = READ_FILE | READ_DIRECTORY
RUN: Final = READ | EXECUTE
WRITE: Final = (RUN | ((1 << 13) - 1) | REFER | TRUNCATE) & ~(_MAKE_CHARACTER | _MAKE_BLOCK)
"""All that can be done with plain files and directories."""
DEVICE: Final = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEVICE
_OF_A_FILE: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE


@dataclass(frozen=True, slots=True)
class Grant:
    """What may be done at a path and below it."""

    path: str
    rights: int


def abi() -> int:
    """The version that the kernel speaks; 0 where it has none or has it turned off."""
    try:
        return call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


def handled_files(version: int) -> int:
    """Every right to files that a version knows: without a grant, none of them is left."""
    known = (rights for since, rights in _FILES_BY_ABI.items() if since <= version)
    return sum(known)


def restrict(grants: Iterable[Grant], *, is_network: bool = True) -> None:
    """Keep this process and all it will start to what is granted; needs no new privileges.

    Nothing outside the process's own kind can be signalled from then on, and no TCP port be bound
    or connected if `is_network`. Paths that do not exist grant nothing. Raises OSError.
    """
    version = abi()
    files = handled_files(version)
    _enforce(
        version,
        files,
        _TCP if is_network and version >= _ABI_TCP else 0,
        [Grant(grant.path, grant.rights & files) for grant in grants],
    )


def restrict_signals() -> None:
    """Keep this process from signalling any that is not below it, and from abstract sockets.

    Nothing where the kernel cannot.
    """
    if abi() >= _ABI_SCOPES:
        _enforce(abi(), 0, 0, [])


def _enforce(version: int, files: int, ports: int, grants: Iterable[Grant]) -> None:
    attributes = struct.pack("=QQQ", files, ports, _SCOPES)
    length = 24 if version >= _ABI_SCOPES else 16 if version >= _ABI_TCP else 8
    ruleset = call("landlock_create_ruleset", attributes[:length], length, 0)
    try:
        for grant in grants:
            _add(ruleset, grant)
        call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _add(ruleset: int, grant: Grant) -> None:
    try:
        place = os.open(grant.path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        is_directory = stat.S_ISDIR(os.fstat(place).st_mode)
        rights = grant.rights if is_directory else grant.rights & _OF_A_FILE
        if rights:
            rule = struct.pack("=Qi", rights, place)
            held = ctypes.create_string_buffer(rule, len(rule))
            call("landlock_add_rule", ruleset, _BENEATH, ctypes.addressof(held), 0)
    finally:
        os.close(place)
