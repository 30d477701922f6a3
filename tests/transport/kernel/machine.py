"""An interpreter of classic BPF as seccomp runs it, to ask a filter about any call anywhere."""

import struct
from collections.abc import Sequence
from typing import Final

from ringfence.transport.kernel.syscall import Architecture

_WORD: Final = 0xFFFFFFFF


def verdict(
    program: bytes, architecture: Architecture, call: str | int, arguments: Sequence[int] = ()
) -> int:
    """What the filter returns for a call with these arguments."""
    number = architecture.numbers[call] if isinstance(call, str) else call
    return run(program, _data(architecture.audit, number, arguments))


def _data(audit: int, number: int, arguments: Sequence[int]) -> bytes:
    """`struct seccomp_data`."""
    six = [each & 0xFFFFFFFFFFFFFFFF for each in (*arguments, 0, 0, 0, 0, 0, 0)][:6]
    return struct.pack("=IIQ6Q", number & _WORD, audit, 0, *six)


def run(program: bytes, data: bytes) -> int:
    """Run it; fails on anything that seccomp's own checker would refuse."""
    code = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    for _ in range(len(code) + 1):
        instruction, if_true, if_false, operand = code[at]
        at += 1
        match instruction:
            case 0x20:
                assert operand % 4 == 0
                (accumulator,) = struct.unpack_from("=I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x06:
                return int(operand)
            case 0x15 | 0x25 | 0x45:
                holds = {
                    0x15: accumulator == operand,
                    0x25: accumulator > operand,
                    0x45: bool(accumulator & operand),
                }[instruction]
                at += if_true if holds else if_false
            case _:
                raise AssertionError(hex(instruction))
    raise AssertionError("it does not end")
