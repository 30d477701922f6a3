"""Filters over system calls: rules as values, assembled to the kernel's classic BPF. Pure.

A filter sees the number of a call, the architecture it was made for and its six arguments, not the
memory that they point to (linux/seccomp.h, `struct seccomp_data`). An unknown architecture kills
the process; so does a number of another calling convention; one that is not in our table answers
ENOSYS, as an older kernel would, so that what a newer kernel adds is not reachable unexamined.
"""

import errno
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from ringfence.transport.kernel.syscall import Architecture

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06  # BPF_LD|W|ABS, BPF_ALU|AND|K, BPF_RET|K
_EQUAL, _GREATER, _ANY_BIT = 0x15, 0x25, 0x45  # BPF_JMP|{JEQ,JGT,JSET}|K
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ARGUMENT_BYTES, _HALF_BYTES = 8, 4

KILL: Final = 0x80000000  # SECCOMP_RET_KILL_PROCESS
_ERRNO: Final = 0x00050000  # SECCOMP_RET_ERRNO
NOTIFY: Final = 0x7FC00000  # SECCOMP_RET_USER_NOTIF
ALLOW: Final = 0x7FFF0000  # SECCOMP_RET_ALLOW
_WORD: Final = 0xFFFFFFFF
INSTRUCTIONS_MOST: Final = 4096  # BPF_MAXINSNS


class Comparison(StrEnum):
    """How a masked argument is compared."""

    IN = "in"
    NOT_IN = "not_in"
    ANY_BIT = "any_bit"


@dataclass(frozen=True, slots=True)
class Check:
    """A test of one half of one argument: the low 32 bits are all the kernel reads of an `int`.

    Whatever stands in the high half of an `int`, the call does the same (CVE-2019-10063). A pointer
    has to be tested in both halves.
    """

    argument: int
    comparison: Comparison
    values: tuple[int, ...]
    mask: int = _WORD
    is_high: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a call if all of `checks` hold; else the next rule of the call is asked."""

    action: int
    checks: tuple[Check, ...] = ()


def refuse(number: int) -> int:
    """The action that makes a call fail with this errno."""
    return _ERRNO | number


Rules = Mapping[str, Sequence[Rule]]
"""By name of the call; the first rule that holds decides, none allows."""


def action_of(rules: Sequence[Rule], arguments: Sequence[int]) -> int:
    """What a filter of these rules returns for a call with these six registers."""
    for rule in rules:
        if all(_holds(check, arguments[check.argument]) for check in rule.checks):
            return rule.action
    return ALLOW


def errno_of(action: int) -> int:
    """The errno with which an action makes a call fail; 0 if it does not."""
    return action & 0xFFFF if action & 0xFFFF0000 == _ERRNO else 0


def _holds(check: Check, argument: int) -> bool:
    half = (argument >> 32 if check.is_high else argument) & check.mask & _WORD
    match check.comparison:
        case Comparison.IN:
            return half in check.values
        case Comparison.NOT_IN:
            return half not in check.values
        case Comparison.ANY_BIT:
            return any(half & value for value in check.values)
        case _ as never:
            assert_never(never)


def assemble(architecture: Architecture, rules: Rules) -> bytes:
    """The filter as the kernel wants it: eight bytes an instruction.

    Names that this architecture does not have are skipped: it has no such call.
    """
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_EQUAL, architecture.audit, 1, 0),
        _instruction(_RETURN, KILL),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if architecture.foreign_bit:
        program += [
            _instruction(_ANY_BIT, architecture.foreign_bit, 0, 1),
            _instruction(_RETURN, KILL),
        ]
    program += _known(architecture)
    for number, found in sorted(
        (architecture.numbers[name], found)
        for name, found in rules.items()
        if name in architecture.numbers
    ):
        block = [each for rule in found for each in _rule(rule)]
        if not found or found[-1].checks:
            block.append(_instruction(_RETURN, ALLOW))
        program += [_instruction(_EQUAL, number, 0, len(block)), *block]
    program.append(_instruction(_RETURN, ALLOW))
    return b"".join(program)


def _known(architecture: Architecture) -> list[bytes]:
    """Refuse every number for which the table has no name."""
    numbers = set(architecture.numbers.values())
    program = [
        _instruction(_GREATER, architecture.highest, 0, 1),
        _instruction(_RETURN, refuse(errno.ENOSYS)),
    ]
    for first, last in _gaps(numbers):
        # Greater than the last passes on; greater than what is before the first is in the gap.
        program += [
            _instruction(_GREATER, last, 2, 0),
            _instruction(_GREATER, first - 1, 0, 1),
            _instruction(_RETURN, refuse(errno.ENOSYS)),
        ]
    return program


def _gaps(numbers: set[int]) -> list[tuple[int, int]]:
    ordered = sorted(numbers)
    pairs = zip([-1, *ordered], ordered, strict=False)
    return [(before + 1, after - 1) for before, after in pairs if after - before > 1]


def _rule(rule: Rule) -> list[bytes]:
    """Its checks, each leaving for the end of the rule if it does not hold; then its action.

    A rule reloads what it reads, and so must whatever comes after: nothing does, as every block of
    a call ends in a return.
    """
    block = [_instruction(_RETURN, rule.action)]
    for check in reversed(rule.checks):
        block = _check(check, block)
    return block


def _check(check: Check, rest: list[bytes]) -> list[bytes]:
    """Load, mask and compare; go into `rest` if it holds, else past it."""
    half = _HALF_BYTES if check.is_high == (sys.byteorder == "little") else 0
    at = _ARGUMENTS_AT + _ARGUMENT_BYTES * check.argument + half
    loaded = [_instruction(_LOAD, at)]
    if check.mask != _WORD:
        loaded.append(_instruction(_AND, check.mask))
    kind = _ANY_BIT if check.comparison is Comparison.ANY_BIT else _EQUAL
    values, length = check.values, len(rest)
    if check.comparison is Comparison.NOT_IN:
        tests = [
            _instruction(kind, value, len(values) - 1 - at + length, 0)
            for at, value in enumerate(values)
        ]
    else:
        last = len(values) - 1
        tests = [
            _instruction(kind, value, last - at, length if at == last else 0)
            for at, value in enumerate(values)
        ]
    return [*loaded, *tests, *rest]


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction (linux/filter.h, `struct sock_filter`), in this machine's byte order."""
    return struct.pack("=HBBI", code, if_true, if_false, operand & _WORD)
