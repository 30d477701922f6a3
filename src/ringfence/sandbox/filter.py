"""Which system calls an agent may not make: the rules of both filters, as values.

The first filter only hands calls over: what is executed, where something is sent, what is
said of files (reduced), and most of what is refused, so that it is on the record. The second
refuses the rest by itself. What is refused is what agents have no use for and what has broken
out of sandboxes before. Names are those of the tables in `transport.kernel.table`.
"""

import errno
from collections.abc import Mapping, Sequence
from typing import Final

from ringfence.sandbox.metadata import CALLS
from ringfence.transport.kernel import namespace
from ringfence.transport.kernel.bpf import NOTIFY, Check, Comparison, Rule, Rules, refuse

EXEC: Final = ("execve", "execveat")
CONNECT: Final = "connect"
SEND: Final = "sendto"

_MOUNTING = (
    "mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick move_mount open_tree"
    " open_tree_attr mount_setattr"
)
_KERNEL = (
    "init_module finit_module delete_module create_module query_module get_kernel_syms kexec_load"
    " kexec_file_load bpf perf_event_open userfaultfd add_key request_key keyctl io_uring_setup"
    " io_uring_enter io_uring_register syslog lookup_dcookie nfsservctl modify_ldt uselib"
    " ustat sysfs _sysctl iopl ioperm fanotify_init fanotify_mark open_by_handle_at"
    " lsm_set_self_attr"
)
_MACHINE = (
    "reboot swapon swapoff acct quotactl quotactl_fd sethostname setdomainname settimeofday"
    " clock_settime clock_adjtime adjtimex vhangup"
)
_OTHERS = (
    "ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp process_madvise process_mrelease"
    " migrate_pages move_pages unshare setns"
)
_SHARED_WITH_HOST = (
    "shmget shmat shmctl shmdt semget semop semtimedop semctl msgget msgsnd msgrcv msgctl mq_open"
    " mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr"
)
"""What the reduced tier shares with the host, as it has no IPC namespace."""
_OWNERS = "chown fchown lchown fchownat file_setattr"
_ATTRIBUTES = (
    "setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat"
)
"""What Landlock does not restrict, and the reduced tier therefore refuses altogether."""

_BUILDING: Final = frozenset(
    {"mount", "umount2", "pivot_root", "chroot", "unshare", "sethostname", "setdomainname"}
)
"""What bwrap itself does under the first filter: nobody could tell it from the agent's."""
_USUAL: Final = frozenset(f"clone clone3 openat2 {_OWNERS} {_ATTRIBUTES}".split())
"""What ordinary programs try all the time and go on without."""

_SET_ID: Final = 0o6000
_MAKE_FILE: Final = 0o100 | 0o20000000  # O_CREAT, and the bit that tells O_TMPFILE from O_DIRECTORY
_INJECT_INPUT, _LINUX_CONSOLE, _LINE_DISCIPLINE = 0x5412, 0x541C, 0x5423
_PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""Linux, with or without 32-bit names, and asking: what container engines allow."""
_TYPE_BITS: Final = 0xF
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _DATAGRAM, _SEQUENCED = 1, 2, 5
_ANY_PROTOCOL, _TCP, _UDP = 0, 6, 17
_FAST_OPEN: Final = 0x20000000  # MSG_FASTOPEN: connects without connect(2)
_TCP_LEVEL, _UPPER_LAYER, _FAST_OPEN_CONNECT = 6, 31, 30
_SOCKET_LEVEL: Final = 1
_SET_LEASE: Final = 1024  # F_SETLEASE: whoever opens the file waits for its holder, on the host too
_ATTACHED_PROGRAMS: Final = (26, 50, 51, 52)  # SO_ATTACH_*: a program of the agent's in the kernel


def notifying(*, is_reduced: bool) -> Rules:
    """The filter that hands calls to the monitor."""
    rules: dict[str, Sequence[Rule]] = {
        name: [Rule(NOTIFY, rule.checks) for rule in found]
        for name, found in told(is_reduced=is_reduced).items()
    }
    rules |= {name: [Rule(NOTIFY)] for name in (*EXEC, CONNECT)}
    if is_reduced:
        return rules | {name: [Rule(NOTIFY)] for name in CALLS}
    return rules | {SEND: [*rules[SEND], *(Rule(NOTIFY, given) for given in _given(4))]}


def told(*, is_reduced: bool) -> Rules:
    """What is refused by the monitor, in the kernel's words, and put on the record."""
    left = _USUAL | _set_id().keys() | (frozenset() if is_reduced else _BUILDING)
    refused = refusing(is_reduced=is_reduced)
    return {name: rules for name, rules in refused.items() if name not in left}


def denying(*, is_reduced: bool) -> Rules:
    """The filter that refuses by itself: of two, the kernel takes the one that refuses."""
    others = told(is_reduced=is_reduced)
    refused = refusing(is_reduced=is_reduced)
    return {name: rules for name, rules in refused.items() if name not in others}


def refusing(*, is_reduced: bool) -> Rules:
    """Everything that is refused, by whichever of the two."""
    names = f"{_MOUNTING} {_KERNEL} {_MACHINE} {_OTHERS}"
    refused = f"{names} {_SHARED_WITH_HOST} {_OWNERS}" if is_reduced else names
    rules: dict[str, list[Rule]] = {name: [Rule(refuse(errno.EPERM))] for name in refused.split()}
    # Their arguments lie in memory, where no filter sees them; programs then use the older calls.
    rules |= {name: [Rule(refuse(errno.ENOSYS))] for name in ("clone3", "openat2")}
    rules |= _arguments()
    rules |= _set_id()
    rules |= _reduced_sockets() if is_reduced else _sockets()
    if is_reduced:
        # As a file system without them: programs that copy go on.
        rules |= {name: [Rule(refuse(errno.EOPNOTSUPP))] for name in _ATTRIBUTES.split()}
        rules |= _others_of_the_user()
    return rules


def _arguments() -> Mapping[str, list[Rule]]:
    """Calls that are refused only with some arguments."""
    forbidden = refuse(errno.EPERM)
    terminal = (_INJECT_INPUT, _LINUX_CONSOLE, _LINE_DISCIPLINE)
    return {
        "clone": [Rule(forbidden, (Check(0, Comparison.ANY_BIT, (namespace.ALL,)),))],
        "ioctl": [Rule(forbidden, (Check(1, Comparison.IN, terminal),))],
        "fcntl": [Rule(forbidden, (Check(1, Comparison.IN, (_SET_LEASE,)),))],
        "personality": [Rule(forbidden, (Check(0, Comparison.NOT_IN, _PERSONALITIES),))],
        # Another process's limits: only one's own, or asking.
        "prlimit64": [
            Rule(forbidden, (Check(0, Comparison.NOT_IN, (0,)), *given)) for given in _given(2)
        ],
        "sendto": [_fast_open(3)],
        "sendmsg": [_fast_open(2)],
        "sendmmsg": [_fast_open(3)],
        "setsockopt": [
            Rule(
                forbidden,
                (
                    Check(1, Comparison.IN, (_TCP_LEVEL,)),
                    Check(2, Comparison.IN, (_UPPER_LAYER, _FAST_OPEN_CONNECT)),
                ),
            ),
            Rule(
                forbidden,
                (
                    Check(1, Comparison.IN, (_SOCKET_LEVEL,)),
                    Check(2, Comparison.IN, _ATTACHED_PROGRAMS),
                ),
            ),
        ],
        "socketpair": [
            Rule(refuse(errno.EAFNOSUPPORT), (Check(0, Comparison.NOT_IN, (_UNIX,)),)),
            # A pair of datagram sockets can send to the path of any other.
            Rule(
                refuse(errno.EPROTONOSUPPORT),
                (Check(1, Comparison.NOT_IN, (_STREAM, _SEQUENCED), _TYPE_BITS),),
            ),
        ],
    }


def _given(argument: int) -> list[tuple[Check]]:
    """A pointer that is not null: one of its halves is not zero."""
    return [(Check(argument, Comparison.NOT_IN, (0,), is_high=half),) for half in (False, True)]


def _fast_open(argument: int) -> Rule:
    return Rule(refuse(errno.EOPNOTSUPP), (Check(argument, Comparison.ANY_BIT, (_FAST_OPEN,)),))


def _set_id() -> Mapping[str, list[Rule]]:
    """No file that runs with its owner's or group's rights may come to be in a workspace."""
    modes = {
        "chmod": 1,
        "fchmod": 1,
        "fchmodat": 2,
        "fchmodat2": 2,
        "mkdir": 1,
        "mkdirat": 2,
        "mknod": 1,
        "mknodat": 2,
        "creat": 1,
    }
    refused = refuse(errno.EPERM)
    rules = {
        name: [Rule(refused, (Check(argument, Comparison.ANY_BIT, (_SET_ID,)),))]
        for name, argument in modes.items()
    }
    for name, flags in (("open", 1), ("openat", 2)):
        making = Check(flags, Comparison.ANY_BIT, (_MAKE_FILE,))
        rules[name] = [
            Rule(refused, (making, Check(flags + 1, Comparison.ANY_BIT, (_SET_ID,)))),
        ]
    return rules


def _sockets() -> Mapping[str, list[Rule]]:
    """TCP and UDP, and asking the kernel about its own routes; the namespace decides whereto."""
    not_netlink = Check(0, Comparison.NOT_IN, (_NETLINK,))
    return {
        "socket": [
            Rule(
                refuse(errno.EAFNOSUPPORT),
                (Check(0, Comparison.NOT_IN, (_INET, _INET6, _NETLINK)),),
            ),
            Rule(
                refuse(errno.EPROTONOSUPPORT),
                (
                    not_netlink,
                    Check(1, Comparison.NOT_IN, (_STREAM, _DATAGRAM), _TYPE_BITS),
                ),
            ),
            Rule(
                refuse(errno.EPROTONOSUPPORT),
                (not_netlink, Check(2, Comparison.NOT_IN, (_ANY_PROTOCOL, _TCP, _UDP))),
            ),
            # NETLINK_ROUTE is protocol 0.
            Rule(
                refuse(errno.EPROTONOSUPPORT),
                (
                    Check(0, Comparison.IN, (_NETLINK,)),
                    Check(2, Comparison.NOT_IN, (_ANY_PROTOCOL,)),
                ),
            ),
        ]
    }


def _reduced_sockets() -> Mapping[str, list[Rule]]:
    """TCP that is connected by the monitor, and nothing that listens."""
    return {
        "socket": [
            Rule(refuse(errno.EAFNOSUPPORT), (Check(0, Comparison.NOT_IN, (_INET, _INET6)),)),
            Rule(
                refuse(errno.EPROTONOSUPPORT),
                (Check(1, Comparison.NOT_IN, (_STREAM,), _TYPE_BITS),),
            ),
            Rule(
                refuse(errno.EPROTONOSUPPORT),
                (Check(2, Comparison.NOT_IN, (_ANY_PROTOCOL, _TCP)),),
            ),
        ],
        "bind": [Rule(refuse(errno.EACCES))],
        "listen": [Rule(refuse(errno.EACCES))],
    }


def _others_of_the_user() -> Mapping[str, list[Rule]]:
    """Priorities of processes other than the caller: the user's own are within reach there."""
    forbidden = refuse(errno.EPERM)
    another = Check(0, Comparison.NOT_IN, (0,))
    named = "sched_setaffinity sched_setscheduler sched_setparam sched_setattr"
    rules = {name: [Rule(forbidden, (another,))] for name in named.split()}
    rules |= {
        name: [
            Rule(forbidden, (Check(0, Comparison.NOT_IN, (which,)),)),
            Rule(forbidden, (Check(1, Comparison.NOT_IN, (0,)),)),
        ]
        for name, which in (("setpriority", 0), ("ioprio_set", 1))
    }
    return rules
