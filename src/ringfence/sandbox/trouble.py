"""What it means when a step of building a sandbox fails, and what to do about it."""

import errno
import os
import re
import sys
from enum import StrEnum

from ringfence.domain.error import UsageError


class StepName(StrEnum):
    """The steps, in the order in which they are taken."""

    SYSTEM = "system"
    BWRAP = "bwrap"
    NAMESPACES = "namespaces"
    IDENTITY = "identity"
    NETWORK = "network"
    LISTENERS = "listeners"
    MOUNTS = "mounts"
    LANDLOCK = "landlock"
    FILTER = "filter"
    LOOKING = "looking"
    START = "start"


_WHAT = {
    StepName.SYSTEM: "this system is one that can confine",
    StepName.BWRAP: "bwrap can be used",
    StepName.NAMESPACES: "an ordinary user may make user, network and mount namespaces",
    StepName.IDENTITY: "a user namespace can be given its user",
    StepName.NETWORK: "a network namespace can be routed to itself",
    StepName.LISTENERS: "listeners can be made inside of it",
    StepName.MOUNTS: "folders can be mounted by descriptor",
    StepName.LANDLOCK: "Landlock can keep a process to its files",
    StepName.FILTER: "system calls can be filtered and handed over",
    StepName.LOOKING: "what a process asks for can be looked at",
    StepName.START: "a program starts inside",
}
_PYTHON = os.path.realpath(sys.executable)
"""A profile is for a path, and this is the program that makes the namespaces."""
_APPARMOR = f"""Ubuntu 23.10 and later let only programs with a profile use user namespaces. Give
bwrap and this Python one, as root, in /etc/apparmor.d/ringfence:
    abi <abi/4.0>,
    include <tunables/global>
    profile ringfence-bwrap /usr/bin/bwrap flags=(unconfined) {{ userns, }}
    profile ringfence-python {_PYTHON} flags=(unconfined) {{ userns, }}
then `apparmor_parser -r /etc/apparmor.d/ringfence`; or for all programs:
`sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"""
_CONTAINER = """A container engine forbids it by its default filter: start the container with
`--security-opt seccomp=unconfined --security-opt systempaths=unconfined`,
or run Ringfence outside of it"""
_ONLY_ROOT = """It is turned off for ordinary users: `sysctl -w kernel.unprivileged_userns_clone=1`,
and the same in a file of /etc/sysctl.d to keep it"""
_NONE_LEFT = """No more user namespaces may be made: `sysctl -w user.max_user_namespaces=28633`, and
the same in a file of /etc/sysctl.d to keep it; within a sandbox: start Ringfence outside of it"""
_REDUCED = "or let the agent run with `sandbox: reduced`, knowing what that does not stop"
_LANDLOCK_OFF = """Landlock is not in this kernel or not turned on: it needs Linux 6.2,
built with CONFIG_SECURITY_LANDLOCK, and `landlock` in the boot option `lsm=`"""
_UNDER_APPARMOR = re.compile(r"uid map|RTM_NEWADDR|Permission denied|Operation not permitted")
"""What bwrap says where it has no profile and this Python has one (Ubuntu's and Codex's issues)."""
_NO_WAY_IN = """Whoever starts it may not go there, or only by root's privileges, which a sandbox
gives up: start it as the owner of that folder, or let this user in"""
_LISTENED = """Another program already answers system calls of this process, as in a sandbox
within a sandbox: start Ringfence outside of it"""
_EXCHANGED = "the folder was exchanged for another meanwhile: is something else at work there?"

_YAMA = {
    "2": """Yama lets only root look at processes here (`kernel.yama.ptrace_scope` is 2):
`sysctl -w kernel.yama.ptrace_scope=1`; `sandbox: strict` works as it is""",
    "3": """Yama lets nobody look at processes here (`kernel.yama.ptrace_scope` is 3) until the
machine starts anew: write `kernel.yama.ptrace_scope=1` to a file of /etc/sysctl.d, and start it""",
}
_UNFILTERED = "\nSeccomp:\t0\n"
"""No filter is on us: then it is no container engine's."""
_GUARDED = """A security module of this machine forbids it (SELinux, AppArmor, Yama): its log says
which, `journalctl -k | grep -i -e denied -e avc`"""

_MENDS = {
    (StepName.NAMESPACES, errno.ENOSPC): f"{_NONE_LEFT}\n{_REDUCED}",
    (StepName.IDENTITY, errno.EPERM): f"{_APPARMOR}\n{_REDUCED}",
    (StepName.IDENTITY, errno.EACCES): f"{_APPARMOR}\n{_REDUCED}",
    (StepName.NETWORK, errno.EPERM): f"{_APPARMOR}\n{_REDUCED}",
    (StepName.MOUNTS, errno.EPERM): f"{_APPARMOR}\n{_REDUCED}",
    (StepName.MOUNTS, errno.EACCES): f"{_APPARMOR}\n{_REDUCED}",
    (StepName.MOUNTS, errno.ELOOP): "it is a symbolic link; make it a plain file or folder",
    (StepName.MOUNTS, errno.ESTALE): _EXCHANGED,
    (StepName.LANDLOCK, errno.ESTALE): _EXCHANGED,
    (StepName.MOUNTS, errno.ENOSYS): f"Linux 5.12 or later is needed; {_REDUCED}",
    (StepName.FILTER, errno.ENOSYS): "a kernel with CONFIG_SECCOMP_FILTER is needed, 5.0 or later",
    (StepName.FILTER, errno.EBUSY): _LISTENED,
    (StepName.LANDLOCK, errno.ENOSYS): _LANDLOCK_OFF,
    (StepName.LANDLOCK, errno.EOPNOTSUPP): _LANDLOCK_OFF,
}
"""By step and errno; their texts elsewhere are from issue threads (Ubuntu, Docker)."""


def what(step: StepName) -> str:
    """What a step shows when it succeeds."""
    return _WHAT[step]


def mend(step: StepName, code: int, said: str = "") -> str:
    """What to do when a step failed with this errno, or said this; empty if nothing is known."""
    if step is StepName.START and "proc" in said:
        return f"{_CONTAINER}\n{_REDUCED}"
    if step is StepName.START and _UNDER_APPARMOR.search(said) and _is_apparmor():
        return f"{_APPARMOR}\n{_REDUCED}"
    if code == errno.EACCES and said.startswith("/"):
        return _NO_WAY_IN
    if step is StepName.LOOKING:
        return _YAMA.get(_reads("/proc/sys/kernel/yama/ptrace_scope"), _GUARDED)
    if (step, code) == (StepName.NAMESPACES, errno.EPERM):
        return f"{_restriction()}\n{_REDUCED}"
    return _MENDS.get((step, code), "")


def _restriction() -> str:
    """Why unshare(2) answers EPERM: what this machine says of itself."""
    if _is_apparmor():
        return _APPARMOR
    if _reads("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return _ONLY_ROOT
    if _UNFILTERED in _reads("/proc/self/status"):
        return _GUARDED
    return _CONTAINER


def _is_apparmor() -> bool:
    return _reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1"


def _reads(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 (a file of the kernel)
            return file.read().strip()
    except OSError:
        return ""


def refusal(step: StepName, code: int, place: str = "") -> UsageError:
    """The error of a sandbox that cannot be built: `no_sandbox`."""
    why = os.strerror(code).lower() if code else "no reason given"
    where = f" at `{place}`" if place else ""
    message = f"the sandbox cannot be built: {step.value}: {why}{where}"
    help_ = (
        mend(step, code, place) or "`ringfence doctor` tries every step and says what is missing"
    )
    return UsageError("no_sandbox", message, help=help_)
