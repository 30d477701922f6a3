"""What it means when a step of building a sandbox fails, and what to do about it."""

import errno
import os
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
_NAMESPACES_OFF = """It is turned off: `sysctl -w kernel.unprivileged_userns_clone=1` (Debian),
`sysctl -w user.max_user_namespaces=28633` (others)"""
_REDUCED = "or let the agent run with `sandbox: reduced`, knowing what that does not stop"
_LANDLOCK_OFF = """Landlock is not in this kernel or not turned on: it needs Linux 6.2,
built with CONFIG_SECURITY_LANDLOCK, and `landlock` in the boot option `lsm=`"""
_LISTENED = """Another program already answers system calls of this process, as in a sandbox
within a sandbox: start Ringfence outside of it"""
_EXCHANGED = "the folder was exchanged for another meanwhile: is something else at work there?"

_MENDS = {
    (StepName.NAMESPACES, errno.ENOSPC): f"{_NAMESPACES_OFF}\n{_REDUCED}",
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
    if (step, code) == (StepName.NAMESPACES, errno.EPERM):
        return f"{_restriction()}\n{_REDUCED}"
    return _MENDS.get((step, code), "")


def _restriction() -> str:
    """Why unshare(2) answers EPERM: what this machine says of itself."""
    if _reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return _APPARMOR
    if _reads("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return _NAMESPACES_OFF
    return _CONTAINER


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
    help_ = mend(step, code) or "`ringfence doctor` tries every step and says what is missing"
    return UsageError("no_sandbox", message, help=help_)
