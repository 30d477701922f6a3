"""What of /etc an agent sees: a folder put together on the stage, before bwrap begins.

One mount of bwrap's takes as long as a hundred files copied here: it reads all mounts for each.
"""

import functools
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ringfence.sandbox.plan import SandboxPlan, is_below
from ringfence.transport.kernel import mount

ROOT: Final = "/etc"
_SHOWN: Final = (
    "/etc/alternatives", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/etc/debian_version",
    "/etc/fonts", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
    "/etc/locale.alias", "/etc/locale.conf", "/etc/magic", "/etc/mime.types", "/etc/os-release",
    "/etc/pki/ca-trust", "/etc/pki/java", "/etc/pki/tls/certs", "/etc/protocols", "/etc/services",
    "/etc/shells", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/terminfo", "/etc/timezone",
    "/etc/zoneinfo",
)  # fmt: skip
"""Files of /etc that say nothing of this machine's people and hold no secret; no more is shown."""
_LIKE: Final = ("java*", "python3*", "perl")
"""Folders of language settings in /etc, by pattern."""
_FILE_BYTES: Final = 4 * 1024 * 1024
_RESOLVER: Final = b"nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"
_HOSTS: Final = b"127.0.0.1 localhost\n::1 localhost\n"
_SWITCH: Final = b"passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\n"


@functools.cache
def shown() -> tuple[str, ...]:
    """The files and folders of /etc that are shown, those that exist; looked for once."""
    named = [path for path in _SHOWN if os.path.exists(path)]  # noqa: PTH110 (this is on the way to every start)
    like = (sorted(Path(ROOT).glob(pattern)) for pattern in _LIKE)
    return (*named, *(str(path) for paths in like for path in paths))


def made(home: str, uid: int, gid: int) -> Mapping[str, bytes]:
    """What is made for the agent in the place of what the machine has."""
    return {
        "/etc/passwd": f"agent:x:{uid}:{gid}:agent:{home}:/bin/bash\n".encode(),
        "/etc/group": f"agent:x:{gid}:\n".encode(),
        "/etc/hosts": _HOSTS,
        "/etc/resolv.conf": _RESOLVER,
        "/etc/nsswitch.conf": _SWITCH,
    }


@functools.cache
def folders() -> tuple[str, ...]:
    """Those that are shown as they are, with all that is in them."""
    return tuple(path for path in shown() if os.path.isdir(path))  # noqa: PTH112 (as above)


def put_together(plan: SandboxPlan, place: str, *, uid: int, gid: int) -> None:
    """Fill an empty folder of the stage. Raises OSError, with the path as its file name."""
    before = os.umask(0o022)
    try:
        _fill(plan, place, made(plan.home, uid, gid))
    finally:
        os.umask(before)


def _fill(plan: SandboxPlan, place: str, own: Mapping[str, bytes]) -> None:
    for path in shown():
        _show(path, f"{place}{path.removeprefix(ROOT)}")
    given = {file.path: file.content for file in plan.files if is_own(file.path)}
    for path, content in {**own, **given}.items():
        _write(f"{place}{path.removeprefix(ROOT)}", content)
    for bind in plan.read_only:
        if is_own(bind.seen):
            _mount_point(f"{place}{bind.seen.removeprefix(ROOT)}", bind.source)


def is_own(path: str) -> bool:
    """Whether a path is of the folder that is put together, and not of one shown as it is."""
    return is_below(path, ROOT) and not any(is_below(path, folder) for folder in folders())


def _show(path: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120 (as above)
    if not os.path.isdir(path):  # noqa: PTH112 (as above)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _write(target, os.read(descriptor, _FILE_BYTES))
        finally:
            os.close(descriptor)
        return
    os.mkdir(target)  # noqa: PTH102 (as above)
    source = os.open(path, os.O_PATH | os.O_CLOEXEC)
    tree = mount.clone(source)
    mount.restrict(tree, mount.READ_ONLY | mount.NO_SETUID | mount.NO_DEVICES)
    over = mount.open_plain(target)
    mount.attach(tree, over)
    for each in (source, tree, over):
        os.close(each)


def _write(target: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120 (as above)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o644), "wb") as file:
        file.write(content)


def _mount_point(target: str, source: str) -> None:
    if stat.S_ISDIR(os.stat(source).st_mode):  # noqa: PTH116 (as above)
        os.makedirs(target, exist_ok=True)  # noqa: PTH103 (as above)
    else:
        _write(target, b"")
