import errno

import pytest
from tests.transport.kernel.machine import verdict

from ringfence.sandbox.filter import denying, notifying, refusing
from ringfence.sandbox.filter import told as told_of
from ringfence.sandbox.metadata import CALLS
from ringfence.transport.kernel import bpf
from ringfence.transport.kernel.bpf import ALLOW, NOTIFY, refuse
from ringfence.transport.kernel.syscall import AARCH64, X86_64, Architecture

BOTH = pytest.mark.parametrize("known", [X86_64, AARCH64], ids=["x86_64", "aarch64"])
TIERS = pytest.mark.parametrize("is_reduced", [False, True], ids=["strict", "reduced"])
_HIGH = 1 << 32
"""Above what the kernel reads of an `int`: an attacker may put anything there."""


def _verdict(known: Architecture, name: str, *arguments: int, is_reduced: bool = False) -> int:
    """What becomes of a call under both filters: what is handed over may be refused then."""
    six = [each & (1 << 64) - 1 for each in (*arguments, 0, 0, 0, 0, 0, 0)][:6]
    by_itself = verdict(bpf.assemble(known, denying(is_reduced=is_reduced)), known, name, six)
    if by_itself != ALLOW:
        return by_itself
    told = told_of(is_reduced=is_reduced).get(name, ())
    handed = verdict(bpf.assemble(known, notifying(is_reduced=is_reduced)), known, name, six)
    refused = bpf.action_of(told, six)
    assert refused == ALLOW or handed == NOTIFY, "what the monitor refuses must come to it"
    return refused


@BOTH
@pytest.mark.parametrize(
    ("is_reduced", "asked"),
    [
        (False, {"execve", "execveat", "connect"}),
        (True, {"execve", "execveat", "connect", *CALLS}),
    ],
)
def test_only_these_calls_are_handed_over_beside_what_is_refused(
    known: Architecture, is_reduced: bool, asked: set[str]
) -> None:
    program = bpf.assemble(known, notifying(is_reduced=is_reduced))
    refused = told_of(is_reduced=is_reduced)
    for name in known.numbers:
        is_refused = bpf.action_of(refused.get(name, ()), (0,) * 6) != ALLOW
        expected = NOTIFY if name in asked or is_refused else ALLOW
        assert verdict(program, known, name) == expected, name


@TIERS
def test_every_name_in_a_filter_is_a_calls(*, is_reduced: bool) -> None:
    """A name that no processor has would be skipped in silence, and refuse nothing."""
    named = {*denying(is_reduced=is_reduced), *notifying(is_reduced=is_reduced)}
    assert named <= {*X86_64.numbers, *AARCH64.numbers}


@BOTH
def test_strict_hands_over_what_is_sent_to_an_address_and_nothing_else_that_is_sent(
    known: Architecture,
) -> None:
    program = bpf.assemble(known, notifying(is_reduced=False))
    for pointer, expected in ((0, ALLOW), (0x7FFF_0000_1000, NOTIFY), (1 << 32, NOTIFY)):
        assert verdict(program, known, "sendto", (3, 1, 1, 0, pointer, 16)) == expected


@TIERS
def test_what_builds_the_sandbox_is_never_handed_over_and_refused_all_the_same(
    is_reduced: bool,
) -> None:
    """Nobody could tell bwrap's own mounts from the agent's."""
    names = {"mount", "umount2", "pivot_root", "unshare"}
    assert (names & told_of(is_reduced=is_reduced).keys() == set()) is not is_reduced
    assert denying(is_reduced=is_reduced).keys().isdisjoint(told_of(is_reduced=is_reduced))
    both = {**denying(is_reduced=is_reduced), **told_of(is_reduced=is_reduced)}
    assert both == refusing(is_reduced=is_reduced)


@BOTH
@TIERS
@pytest.mark.parametrize(
    "name",
    [
        "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "unshare",
        "setns", "mount", "umount2", "pivot_root", "chroot", "fsopen", "fsmount", "move_mount",
        "open_tree", "open_tree_attr", "mount_setattr", "bpf", "perf_event_open", "userfaultfd",
        "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key",
        "request_key", "init_module", "finit_module", "delete_module", "kexec_load", "reboot",
        "swapon", "acct", "syslog", "open_by_handle_at", "fanotify_init", "settimeofday",
        "clock_settime", "quotactl", "sethostname", "vhangup",
    ],
)  # fmt: skip
def test_these_calls_are_refused_whatever_is_asked(
    known: Architecture, is_reduced: bool, name: str
) -> None:
    assert _verdict(known, name, is_reduced=is_reduced) == refuse(errno.EPERM)


@BOTH
@TIERS
@pytest.mark.parametrize("name", ["clone3", "openat2"])
def test_calls_whose_arguments_no_filter_sees_seem_not_to_exist(
    known: Architecture, is_reduced: bool, name: str
) -> None:
    assert _verdict(known, name, is_reduced=is_reduced) == refuse(errno.ENOSYS)


@BOTH
@TIERS
@pytest.mark.parametrize(
    "name",
    [
        "read", "write", "openat", "newfstatat", "mmap", "mprotect", "clone", "execve", "execveat",
        "wait4", "kill", "futex", "epoll_pwait", "pipe2", "getrandom", "memfd_create",
        "landlock_create_ruleset", "seccomp", "prctl", "renameat2", "linkat", "symlinkat",
        "unlinkat", "fchmodat", "utimensat", "truncate", "recvmsg", "getsockopt", "inotify_init1",
    ],
)  # fmt: skip
def test_what_every_program_does_passes(known: Architecture, is_reduced: bool, name: str) -> None:
    assert _verdict(known, name, is_reduced=is_reduced) == ALLOW


@BOTH
@TIERS
@pytest.mark.parametrize(
    "flag",
    [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000],
)
def test_no_process_starts_in_a_namespace_of_its_own(
    known: Architecture, is_reduced: bool, flag: int
) -> None:
    for flags in (flag, flag | 17, flag | _HIGH):
        assert _verdict(known, "clone", flags, is_reduced=is_reduced) == refuse(errno.EPERM)
    thread = 0x3D0F00
    assert _verdict(known, "clone", thread, is_reduced=is_reduced) == ALLOW


@BOTH
@TIERS
@pytest.mark.parametrize("request_", [0x5412, 0x541C])
def test_no_input_is_put_into_a_terminal(
    known: Architecture, is_reduced: bool, request_: int
) -> None:
    for number in (request_, request_ + _HIGH, request_ | 0xABCD << 32):
        found = _verdict(known, "ioctl", 0, number, is_reduced=is_reduced)
        assert found == refuse(errno.EPERM)
    assert _verdict(known, "ioctl", 0, 0x5413, is_reduced=is_reduced) == ALLOW


@BOTH
@TIERS
def test_fast_open_connects_nowhere(known: Architecture, is_reduced: bool) -> None:
    for name, at in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        for flags in (0x20000000, 0x20004000, 0x20000000 + _HIGH):
            arguments = [0] * at + [flags]
            found = _verdict(known, name, *arguments, is_reduced=is_reduced)
            assert found == refuse(errno.EOPNOTSUPP), name
        assert _verdict(known, name, *[0] * at, 0x4000, is_reduced=is_reduced) == ALLOW
    fast_open_connect = (3, 6, 30)
    assert _verdict(known, "setsockopt", *fast_open_connect) == refuse(errno.EPERM)
    assert _verdict(known, "setsockopt", 3, 6, 1) == ALLOW


_FAMILIES = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "alg": 38, "smc": 43}


@BOTH
@TIERS
def test_only_internet_sockets_can_be_made(known: Architecture, is_reduced: bool) -> None:
    for family in range(46):
        for high in (0, _HIGH):
            found = _verdict(known, "socket", family + high, 1, 0, is_reduced=is_reduced)
            is_allowed = family in {2, 10} or (family == 16 and not is_reduced)
            assert found == (ALLOW if is_allowed else refuse(errno.EAFNOSUPPORT)), family


@BOTH
@TIERS
def test_only_plain_protocols_can_be_spoken(known: Architecture, is_reduced: bool) -> None:
    no = refuse(errno.EPROTONOSUPPORT)
    for family in (2, 10):
        for kind in (3, 4, 5, 6, 10):  # raw, rdm, seqpacket, dccp, packet
            assert _verdict(known, "socket", family, kind, 0, is_reduced=is_reduced) == no
        for protocol in (1, 58, 132, 136, 262, 255):  # ICMP, ICMPv6, SCTP, UDP-Lite, MPTCP, raw
            found = _verdict(known, "socket", family, 1, protocol, is_reduced=is_reduced)
            assert found == no, protocol
        assert _verdict(known, "socket", family, 0x80801, 6, is_reduced=is_reduced) == ALLOW
        datagram = _verdict(known, "socket", family, 2, 17, is_reduced=is_reduced)
        assert datagram == (no if is_reduced else ALLOW)
    assert _verdict(known, "socket", 16, 3, 9) == no  # NETLINK_AUDIT


@BOTH
@TIERS
def test_pairs_of_sockets_reach_only_each_other(known: Architecture, is_reduced: bool) -> None:
    for kind, is_allowed in ((1, True), (0x80801, True), (5, True), (2, False), (0x80802, False)):
        found = _verdict(known, "socketpair", 1, kind, is_reduced=is_reduced)
        assert found == (ALLOW if is_allowed else refuse(errno.EPROTONOSUPPORT)), kind
    other = _verdict(known, "socketpair", 2, 1, is_reduced=is_reduced)
    assert other == refuse(errno.EAFNOSUPPORT)


@TIERS
def test_no_file_gets_rights_of_its_own(is_reduced: bool) -> None:
    no = refuse(errno.EPERM)
    modes = {
        "chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "mkdir": 1, "mkdirat": 2,
        "mknod": 1, "mknodat": 2, "creat": 1,
    }  # fmt: skip
    for known in (X86_64, AARCH64):
        for name, at in modes.items():
            for mode in (0o4755, 0o2755, 0o6000, 0o4000 + _HIGH):
                if name in known.numbers:
                    found = _verdict(known, name, *[0] * at, mode, is_reduced=is_reduced)
                    assert found == no, name
            if name in known.numbers:
                assert _verdict(known, name, *[0] * at, 0o1777, is_reduced=is_reduced) == ALLOW
        for flags in (0o100, 0o101, 0o20200000, 0o20200002):
            assert _verdict(known, "openat", 0, 0, flags, 0o4755, is_reduced=is_reduced) == no
        assert _verdict(known, "openat", 0, 0, 0o101, 0o755, is_reduced=is_reduced) == ALLOW
        # Without O_CREAT there is no mode: what lies in the register means nothing.
        assert _verdict(known, "openat", 0, 0, 0, 0o4755, is_reduced=is_reduced) == ALLOW


@BOTH
@TIERS
def test_limits_of_others_cannot_be_set(known: Architecture, is_reduced: bool) -> None:
    no = refuse(errno.EPERM)
    for pointer in (0x7FFF12345678, 0x100000000, 0x1000):
        found = _verdict(known, "prlimit64", 77, 7, pointer, is_reduced=is_reduced)
        assert found == no, hex(pointer)
        assert _verdict(known, "prlimit64", 0, 7, pointer, is_reduced=is_reduced) == ALLOW
    assert _verdict(known, "prlimit64", 77, 7, 0, is_reduced=is_reduced) == ALLOW


@BOTH
def test_the_reduced_tier_refuses_what_no_namespace_keeps_apart(known: Architecture) -> None:
    for name in (
        "shmget", "semget", "msgget", "mq_open", "fchown", "fchownat", "setxattr", "bind", "listen",
    ):  # fmt: skip
        assert _verdict(known, name) == ALLOW, name
        assert _verdict(known, name, is_reduced=True) != ALLOW, name
    for name, others, own in (
        ("setpriority", (0, 5), (0, 0)),
        ("setpriority", (1, 0), (0, 0)),
        ("sched_setaffinity", (5,), (0,)),
        ("ioprio_set", (3, 0), (1, 0)),
    ):
        assert _verdict(known, name, *others, is_reduced=True) == refuse(errno.EPERM), name
        assert _verdict(known, name, *own, is_reduced=True) == ALLOW, name


@BOTH
@TIERS
def test_a_filter_is_as_short_as_the_kernel_takes_it(known: Architecture, is_reduced: bool) -> None:
    for rules in (denying, notifying):
        program = bpf.assemble(known, rules(is_reduced=is_reduced))
        assert len(program) // 8 < bpf.INSTRUCTIONS_MOST
