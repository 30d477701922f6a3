"""The words that make bwrap build the strict tier's view of the machine."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ringfence.domain.error import UsageError
from ringfence.sandbox import system_settings
from ringfence.sandbox.mount_guard import STAGE
from ringfence.sandbox.plan import PROGRAMS, Bind, SandboxPlan, is_below

_LEAST: Final = (0, 8, 0)
"""It brought --disable-userns."""
_PROGRAM_BYTES: Final = 1 << 20
_ANSWER_S: Final = 20.0
_INSTALL: Final = "install it: `apt-get install bubblewrap`, `dnf install bubblewrap`"

ROOTS: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Links into /usr on merged systems, folders of their own on others."""
_MACHINE: Final = (
    "/proc/acpi", "/proc/asound", "/proc/bus", "/proc/driver", "/proc/fs", "/proc/irq",
    "/proc/mtrr", "/proc/pressure", "/proc/scsi", "/proc/sys", "/proc/sysrq-trigger", "/proc/tty",
)  # fmt: skip
"""What of /proc is the whole machine's. Whom the kernel takes for root writes there without any
capability (`core_pattern` would be the machine); bwrap does not cover all of it for such a one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bwrap:
    """The bwrap of this machine. `version` is empty where it does not say."""

    path: str
    version: tuple[int, ...] = ()


def find() -> Bwrap:
    """The one that will be used. Raises UsageError `no_bwrap`, `setuid_bwrap`, `old_bwrap`."""
    path = shutil.which("bwrap", path=PROGRAMS)
    if path is None:
        raise UsageError("no_bwrap", "there is no bwrap on this machine", help=_INSTALL)
    if os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):  # noqa: PTH116 (this is on the way to every start)
        raise UsageError(
            "setuid_bwrap",
            f"`{path}` is setuid: a weakness in it would be one of the whole machine",
            help=f"let it use user namespaces as its caller: `chmod u-s {path}` (CVE-2026-41163)",
        )
    if not _has_the_option(path):
        version = ask_version(path)
        if version < _LEAST:
            told = ".".join(map(str, version)) or "no version that it tells"
            raise UsageError(
                "old_bwrap",
                f"`{path}` is of {told}, and cannot keep an agent from namespaces of its own",
                help="bubblewrap 0.8.0 or later is needed: Debian 12, Ubuntu 24.04 and Fedora 38"
                " have it; or let the agent run with `sandbox: reduced`, knowing what that does"
                " not stop",
            )
    return Bwrap(path=path)


def _has_the_option(path: str) -> bool:
    """Whether the words of the program tell of what the oldest one that we can use brought.

    Starting it would take a tenth of the time that a whole sandbox does.
    """
    with open(path, "rb") as program:  # noqa: PTH123 (this is on the way to every start)
        return b"disable-userns" in program.read(_PROGRAM_BYTES)


def ask_version(path: str) -> tuple[int, ...]:
    """What it says of itself; empty if it says nothing."""
    try:
        said = subprocess.run(  # noqa: S603 (the program that was just looked at)
            [path, "--version"], capture_output=True, text=True, check=False, timeout=_ANSWER_S
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(map(int, re.findall(r"\d+", said)[:3]))


def words(
    plan: SandboxPlan,
    staged: Sequence[tuple[Bind, bool]],
    *,
    uid: int,
    gid: int,
    data_fd: Callable[[bytes], int],
) -> list[str]:
    """Everything but filter and command; what is bound comes in the order of its path.

    `data_fd` gives a descriptor from which bwrap can read the bytes it was given.
    """
    return [
        "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--disable-userns", "--die-with-parent", "--hostname", "sandbox",
        "--uid", str(uid), "--gid", str(gid),
        *([] if plan.is_interactive else ["--new-session"]),
        *_system(),
        "--proc", "/proc", *_machine(), "--dev", "/dev",
        *_temporary(plan, "/tmp", "/var/tmp", "/run", "/dev/shm", plan.home),  # noqa: S108 (the sandbox's own)
        "--ro-bind", f"{STAGE}{system_settings.ROOT}", system_settings.ROOT,
        *_files(plan, data_fd),
        *_binds(staged),
        "--remount-ro", "/",
        "--chdir", plan.start,
        *_variables(plan.environment),
    ]  # fmt: skip


def _system() -> list[str]:
    found = ["--ro-bind", "/usr", "/usr"]
    for path in ROOTS:
        if os.path.islink(path):  # noqa: PTH114 (this is on the way to every start)
            found += ["--symlink", os.readlink(path), path]  # noqa: PTH115 (as above)
        elif os.path.isdir(path):  # noqa: PTH112 (as above)
            found += ["--ro-bind", path, path]
    return found


def _machine() -> Iterator[str]:
    for path in _MACHINE:
        if os.path.exists(path):  # noqa: PTH110 (this is on the way to every start)
            yield from ("--ro-bind", path, path)


def _temporary(plan: SandboxPlan, *paths: str) -> Iterator[str]:
    for path in paths:
        yield from ("--size", str(plan.limits.temporary_bytes), "--tmpfs", path)


def _files(plan: SandboxPlan, data_fd: Callable[[bytes], int]) -> Iterator[str]:
    for file in sorted(plan.files, key=lambda file: file.path):
        if not system_settings.is_own(file.path):
            option = "--file" if file.is_writable else "--ro-bind-data"
            yield from (option, str(data_fd(file.content)), file.path)


def _binds(staged: Sequence[tuple[Bind, bool]]) -> Iterator[str]:
    for bind, is_read_only in sorted(staged, key=lambda each: each[0].seen):
        yield from ("--ro-bind" if is_read_only else "--bind", bind.source, bind.seen)


def _variables(environment: Mapping[str, str]) -> Iterator[str]:
    yield "--clearenv"
    for name, value in environment.items():
        yield from ("--setenv", name, value)


def is_shown(path: str) -> bool:
    """Whether a path of the host is part of every sandbox."""
    return any(is_below(path, root) for root in ("/usr", *ROOTS, *system_settings.shown()))
