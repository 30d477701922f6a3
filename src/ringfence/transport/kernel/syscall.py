"""System calls by name, for those that Python has no function for."""

import ctypes
import functools
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ringfence.domain.error import UsageError
from ringfence.transport.kernel import table

_X32_BIT: Final = 0x40000000


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What one kind of processor calls each system call.

    `audit` is the kernel's word for it in a filter (linux/audit.h). `foreign_bit`, if not zero,
    marks numbers of another calling convention on the same processor (x32).
    """

    name: str
    audit: int
    numbers: Mapping[str, int]
    foreign_bit: int = 0

    @property
    def highest(self) -> int:
        """The last number that is known; what comes after did not exist when this was written."""
        return max(self.numbers.values())


def _numbered(own: str) -> Mapping[str, int]:
    names = dict(enumerate(own.split()))
    names.update(enumerate(table.SHARED.split(), table.SHARED_FROM))
    return {name: number for number, name in names.items() if name != "-"}


X86_64: Final = Architecture(
    name="x86_64", audit=0xC000003E, numbers=_numbered(table.X86_64), foreign_bit=_X32_BIT
)
AARCH64: Final = Architecture(name="aarch64", audit=0xC00000B7, numbers=_numbered(table.AARCH64))
_BY_MACHINE: Final = {"x86_64": X86_64, "amd64": X86_64, "aarch64": AARCH64, "arm64": AARCH64}


_WITHOUT = """the sandbox needs 64-bit Linux on x86_64 or aarch64; the gateways, the hooks and, for
agents whose least is `sandbox: none`, `--sandbox none` work here"""
_ELSEWHERE = """the sandbox needs 64-bit Linux on x86_64 or aarch64 (as in WSL 2), and
`--sandbox none` needs fork(2); an agent that you start here yourself can use the gateways and the
hooks of a plane on another machine, or in WSL 2, by its address"""


@functools.cache
def architecture() -> Architecture:
    """This machine's. Raises UsageError `no_sandbox_here` on any system that cannot confine."""
    found = _BY_MACHINE.get(platform.machine().lower())
    if sys.platform != "linux" or found is None or sys.maxsize <= 2**32:
        system = f"{platform.system() or 'this system'} on {platform.machine() or 'this processor'}"
        raise UsageError(
            "no_sandbox_here",
            f"agents cannot be confined on {system}",
            help=_ELSEWHERE if sys.platform == "win32" else _WITHOUT,
        )
    return found


@functools.cache
def library() -> Any:  # noqa: ANN401 (ctypes gives functions by name)
    """The C library that this process already has."""
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _entry() -> Any:  # noqa: ANN401 (a function of ctypes)
    function = library().syscall
    function.restype = ctypes.c_long
    return function


def call(name: str, *arguments: int | bytes | ctypes.Array[Any] | None) -> int:
    """Make a system call; what it returns, never negative. Raises OSError."""
    number = architecture().numbers[name]
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(_entry()(ctypes.c_long(number), *given))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), name)
    return result
