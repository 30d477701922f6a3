"""Bound what the processes of one sandbox may use (getrlimit(2))."""

import contextlib
import os

from ringfence.sandbox.plan import SandboxLimits

try:
    import resource
except ImportError:  # Windows, where importing must not fail
    resource = None  # type: ignore[assignment] # absent there, and nothing here is called

_FIRST_TO_GO = "500"
"""Where memory runs out, a sandbox goes before the plane (proc(5), oom_score_adj)."""

_ABOVE = 64
"""How far the bound of each user lies above that of a group that counts."""
_OWN_FILES = 256
"""What a monitor has open beside its processes: listeners, terminal, the workspace's folders."""


def apply(limits: SandboxLimits, *, processes_before: int = 0, is_counted: bool = False) -> None:
    """Bound this process and all it will start; `processes_before` are counted with them.

    Where a control group counts them (`is_counted`) this bound is the second, and lies above it:
    only the group can tell afterwards that it was reached.
    """
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NPROC: limits.processes + processes_before + _ABOVE * is_counted,
        resource.RLIMIT_AS: limits.address_bytes,
    }
    for which, most in wanted.items():
        if most is not None:
            _, hard = resource.getrlimit(which)
            bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(which, (bound, bound))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 (a file of the kernel)
        score.write(_FIRST_TO_GO)


def count_alone(pid: int) -> None:
    """Let the bound that a process set itself by `apply` lie above none: no group counts it.

    Harmless if it has ended. One whose caller may have fewer anyway is left up to 64 fewer yet.
    """
    with contextlib.suppress(ProcessLookupError):
        bound = max(1, resource.prlimit(pid, resource.RLIMIT_NPROC)[1] - _ABOVE)
        resource.prlimit(pid, resource.RLIMIT_NPROC, (bound, bound))


def room_for(processes: int) -> None:
    """Let a monitor hold a descriptor of each process of its sandbox, as far as it may.

    Most systems begin with 1,024 open files. INVARIANT: called after the sandbox was forked, whose
    programs keep what their caller has.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = processes + _OWN_FILES
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and bound > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (bound, hard))


def processes_of(uid: int) -> int:
    """How many threads a user has now: without a user namespace they share one bound."""
    found = 0
    for name in os.listdir("/proc"):  # noqa: PTH208 (the forked child keeps to plain calls)
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == uid:  # noqa: PTH116 (as above)
                    found += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208 (as above)
    return found
