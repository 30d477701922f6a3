"""The words that make bwrap build the strict tier's view of the machine."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringfence.domain.error import UsageError
from ringfence.sandbox.plan import Bind, JailPlan, is_below

_PLACES: Final = "/usr/bin:/usr/local/bin:/bin"
_INSTALL: Final = "install it: `apt-get install bubblewrap`, `dnf install bubblewrap`"

ROOTS: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Links into /usr on merged systems, folders of their own on others."""
SETTINGS: Final = (
    "/etc/alternatives", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/etc/debian_version",
    "/etc/fonts", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
    "/etc/locale.alias", "/etc/locale.conf", "/etc/magic", "/etc/mime.types", "/etc/os-release",
    "/etc/pki/ca-trust", "/etc/pki/java", "/etc/pki/tls/certs", "/etc/protocols", "/etc/services",
    "/etc/shells", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/terminfo", "/etc/timezone",
    "/etc/zoneinfo",
)  # fmt: skip
"""Files of /etc that say nothing of this machine's people and hold no secret; no more is shown."""
SETTINGS_LIKE: Final = ("java*", "python3*", "perl")
"""Folders of language settings in /etc, by pattern."""
_MACHINE: Final = (
    "/proc/acpi", "/proc/asound", "/proc/bus", "/proc/driver", "/proc/fs", "/proc/irq",
    "/proc/mtrr", "/proc/pressure", "/proc/scsi", "/proc/sys", "/proc/sysrq-trigger", "/proc/tty",
)  # fmt: skip
"""What of /proc is the whole machine's. Whom the kernel takes for root writes there without any
capability (`core_pattern` would be the machine); bwrap does not cover all of it for such a one."""
_RESOLVER: Final = b"nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"
_HOSTS: Final = b"127.0.0.1 localhost\n::1 localhost\n"
_SWITCH: Final = b"passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bwrap:
    """The bwrap of this machine. `version` is empty where it does not say."""

    path: str
    version: tuple[int, ...] = ()


def find() -> Bwrap:
    """The one that will be used. Raises UsageError `no_bwrap`, `setuid_bwrap`."""
    path = shutil.which("bwrap", path=_PLACES)
    if path is None:
        raise UsageError("no_bwrap", "there is no bwrap on this machine", help=_INSTALL)
    if os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):  # noqa: PTH116 (this is on the way to every start)
        raise UsageError(
            "setuid_bwrap",
            f"`{path}` is setuid: a weakness in it would be one of the whole machine",
            help=f"let it use user namespaces as its caller: `chmod u-s {path}` (CVE-2026-41163)",
        )
    return Bwrap(path=path)


def settings() -> Iterator[str]:
    """The files of /etc that are shown, those that exist."""
    for path in SETTINGS:
        if os.path.exists(path):  # noqa: PTH110 (this is on the way to every start)
            yield path
    for pattern in SETTINGS_LIKE:
        yield from map(str, sorted(Path("/etc").glob(pattern)))


def words(
    plan: JailPlan,
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
        *_files(plan, uid, gid, data_fd),
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
    for path in settings():
        found += ["--ro-bind", path, path]
    return found


def _machine() -> Iterator[str]:
    for path in _MACHINE:
        if os.path.exists(path):  # noqa: PTH110 (this is on the way to every start)
            yield from ("--ro-bind", path, path)


def _temporary(plan: JailPlan, *paths: str) -> Iterator[str]:
    for path in paths:
        yield from ("--size", str(plan.limits.temporary_bytes), "--tmpfs", path)


def _files(plan: JailPlan, uid: int, gid: int, data_fd: Callable[[bytes], int]) -> Iterator[str]:
    made: dict[str, bytes] = {
        "/etc/passwd": f"agent:x:{uid}:{gid}:agent:{plan.home}:/bin/bash\n".encode(),
        "/etc/group": f"agent:x:{gid}:\n".encode(),
        "/etc/hosts": _HOSTS,
        "/etc/resolv.conf": _RESOLVER,
        "/etc/nsswitch.conf": _SWITCH,
    }
    writable: dict[str, bytes] = {}
    for file in plan.files:
        (writable if file.is_writable else made)[file.path] = file.content
    for path, content in sorted(made.items()):
        yield from ("--ro-bind-data", str(data_fd(content)), path)
    for path, content in sorted(writable.items()):
        yield from ("--file", str(data_fd(content)), path)


def _binds(staged: Sequence[tuple[Bind, bool]]) -> Iterator[str]:
    for bind, is_read_only in sorted(staged, key=lambda each: each[0].seen):
        yield from ("--ro-bind" if is_read_only else "--bind", bind.source, bind.seen)


def _variables(environment: Mapping[str, str]) -> Iterator[str]:
    yield "--clearenv"
    for name, value in environment.items():
        yield from ("--setenv", name, value)


def is_shown(path: str) -> bool:
    """Whether a path of the host is part of every sandbox."""
    return any(is_below(path, root) for root in ("/usr", *ROOTS, *settings()))
