import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.transport.kernel.machine import run, verdict

from ringfence.transport.kernel.bpf import (
    ALLOW,
    INSTRUCTIONS_MOST,
    KILL,
    NOTIFY,
    Check,
    Comparison,
    Rule,
    action_of,
    assemble,
    errno_of,
    refuse,
)
from ringfence.transport.kernel.syscall import AARCH64, X86_64, Architecture

BOTH = [X86_64, AARCH64]
_NO = refuse(errno.EPERM)


@pytest.mark.parametrize("known", BOTH)
def test_no_rule_allows_every_known_call_and_no_other(known: Architecture) -> None:
    program = assemble(known, {})
    numbers = set(known.numbers.values())
    for number in range(known.highest + 50):
        expected = ALLOW if number in numbers else refuse(errno.ENOSYS)
        assert verdict(program, known, number) == expected, number


@pytest.mark.parametrize("known", BOTH)
def test_another_architecture_is_killed(known: Architecture) -> None:
    program = assemble(known, {})
    other = AARCH64 if known is X86_64 else X86_64
    assert verdict(program, other, "getpid") == KILL
    assert run(program, b"\x03\0\0\0\x03\0\0\x40" + bytes(56)) == KILL  # AUDIT_ARCH_I386


def test_the_other_convention_of_the_same_processor_is_killed() -> None:
    program = assemble(X86_64, {"execve": [Rule(_NO)]})
    assert verdict(program, X86_64, 0x40000000 | 520) == KILL  # x32 execve
    assert verdict(program, X86_64, 0x40000000 | 59) == KILL
    assert verdict(program, X86_64, -1) == KILL


@pytest.mark.parametrize("known", BOTH)
def test_a_rule_without_checks_always_decides(known: Architecture) -> None:
    program = assemble(known, {"ptrace": [Rule(_NO)], "execve": [Rule(NOTIFY)]})
    assert verdict(program, known, "ptrace") == _NO
    assert verdict(program, known, "execve") == NOTIFY
    assert verdict(program, known, "execveat") == ALLOW


def test_a_name_that_the_architecture_lacks_is_skipped() -> None:
    assert assemble(AARCH64, {"fork": [Rule(_NO)]}) == assemble(AARCH64, {})


def test_the_first_rule_that_holds_decides() -> None:
    rules = {
        "socket": [
            Rule(refuse(1), (Check(0, Comparison.IN, (5, 6)),)),
            Rule(refuse(2), (Check(1, Comparison.NOT_IN, (1, 2), 0xF),)),
        ]
    }
    program = assemble(X86_64, rules)
    assert verdict(program, X86_64, "socket", (6, 3)) == refuse(1)
    assert verdict(program, X86_64, "socket", (2, 3)) == refuse(2)
    assert verdict(program, X86_64, "socket", (2, 0x80001)) == ALLOW


_VALUES = st.lists(st.sampled_from([0, 1, 2, 3, 7, 8, 0xFFFFFFFF]), min_size=1, max_size=4)
_CHECKS = st.builds(
    Check,
    st.integers(0, 5),
    st.sampled_from(Comparison),
    _VALUES.map(lambda values: tuple(dict.fromkeys(values))),
    st.sampled_from([0xFFFFFFFF, 0xF, 0]),
    st.booleans(),
)
_RULES = st.lists(
    st.builds(Rule, st.integers(1, 4000).map(refuse), st.lists(_CHECKS, max_size=3).map(tuple)),
    max_size=4,
)
_ARGUMENTS = st.lists(
    st.sampled_from([0, 1, 2, 3, 7, 8, 15, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, (1 << 64) - 1]),
    min_size=6,
    max_size=6,
)


def _holds(check: Check, arguments: list[int]) -> bool:
    value = arguments[check.argument] >> (32 if check.is_high else 0) & 0xFFFFFFFF & check.mask
    match check.comparison:
        case Comparison.IN:
            return value in check.values
        case Comparison.NOT_IN:
            return value not in check.values
        case Comparison.ANY_BIT:
            return any(value & each for each in check.values)


@given(_RULES, _RULES, _ARGUMENTS)
def test_a_filter_means_what_its_rules_say(
    rules: list[Rule], others: list[Rule], arguments: list[int]
) -> None:
    program = assemble(X86_64, {"ioctl": rules, "socket": others})
    for name, asked in (("ioctl", rules), ("socket", others)):
        held = (
            rule.action for rule in asked if all(_holds(each, arguments) for each in rule.checks)
        )
        assert verdict(program, X86_64, name, arguments) == next(held, ALLOW)
    assert verdict(program, X86_64, "read", arguments) == ALLOW
    assert len(program) // 8 < INSTRUCTIONS_MOST


_ARGUMENTS = st.one_of(st.integers(0, 50), st.integers(0, 2**64 - 1), st.sampled_from([1 << 32]))
_CHECKS = st.builds(
    Check,
    argument=st.integers(0, 5),
    comparison=st.sampled_from(Comparison),
    values=st.lists(st.integers(0, 50), min_size=1, max_size=3).map(tuple),
    mask=st.sampled_from([0xFFFFFFFF, 0xF]),
    is_high=st.booleans(),
)
_RULES = st.lists(
    st.builds(
        Rule,
        action=st.sampled_from([NOTIFY, refuse(1), refuse(93)]),
        checks=st.lists(_CHECKS, max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=4,
)


@given(rules=_RULES, arguments=st.lists(_ARGUMENTS, min_size=6, max_size=6))
def test_rules_mean_here_what_their_filter_means_to_the_kernel(
    rules: list[Rule], arguments: list[int]
) -> None:
    program = assemble(X86_64, {"read": rules})
    assert action_of(rules, arguments) == verdict(program, X86_64, "read", arguments)


def test_an_action_tells_its_errno() -> None:
    assert [errno_of(each) for each in (refuse(13), ALLOW, NOTIFY, KILL)] == [13, 0, 0, 0]
