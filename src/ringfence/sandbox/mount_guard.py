"""What of the host a sandbox may see: looked at before the start, and mounted by descriptor.

bwrap before 0.12 follows a symbolic link when it makes a mount point inside a folder that an agent
could write to, out of the sandbox (CVE-2026-87766). Here it never meets such a folder: every bind
is opened without following any link, cloned, and put on a stage that only we can reach; bwrap is
given the stage. What is to be protected inside a workspace is mounted by us, over what exists.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

try:
    import pwd
except ImportError:  # Windows, where importing must not fail
    pwd = None  # type: ignore[assignment] # absent there, and nothing here is called

from ringfence.domain.error import UsageError
from ringfence.sandbox import system_settings
from ringfence.sandbox.plan import Bind, SandboxPlan, is_below
from ringfence.transport.kernel import mount

_ESCAPE: Final = re.compile(r"\\([0-7]{3})")
"""How the kernel writes blanks, tabs, line ends and backslashes in a path."""
STAGE: Final = "/tmp"  # noqa: S108 (a folder that every system has; our own mount lies over it)
_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
_SHARED: Final = stat.S_ISVTX | stat.S_IWOTH
"""A folder like /tmp, in which everybody has something."""
_REFUSED_TREES: Final = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys",
    "/usr", "/var/run",
)  # fmt: skip
_REFUSED: Final = (
    "/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var", "/var/lib", "/var/log",  # noqa: S108 (named, not used)
    "/var/spool", "/var/tmp",  # noqa: S108 (named, not used)
)  # fmt: skip

_KEPT: Final = (
    "no agent may see these: name another folder with --workspace, or start the plane elsewhere"
)


def check_places(plan: SandboxPlan, *, kept: Sequence[str] = ()) -> None:
    """Refuse a workspace or bind that no sandbox may have; `kept` are our own folders and files.

    Raises UsageError `bad_workspace`.
    """
    points = mount_points(
        Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    )
    for bind in plan.writable:
        check_folder(bind.source)
        inner = [point for point in points if point != bind.source and is_below(point, bind.source)]
        if inner:
            what = f"`{inner[0]}` is mounted inside of `{bind.source}`"
            raise _bad(what, "choose a folder with no mount points in it, or unmount it")
    for bind in plan.read_only:
        with _opened(bind.source):
            pass
    for bind in (*plan.writable, *plan.read_only):
        for own in map(os.path.realpath, kept):
            if is_below(own, bind.source) or is_below(bind.source, own):
                what = f"`{bind.source}` shows `{own}`, which belongs to the plane"
                raise _bad(what, _KEPT)


def check_folder(path: str) -> None:
    """Refuse a folder that no agent may change. Raises UsageError `bad_workspace`."""
    with _opened(path) as descriptor:
        found = os.fstat(descriptor)
    if not stat.S_ISDIR(found.st_mode):
        raise _bad(f"`{path}` is not a folder", "name a folder")
    is_systems = path in _REFUSED or any(is_below(path, tree) for tree in _REFUSED_TREES)
    is_everybodys = found.st_mode & _SHARED == _SHARED
    if is_systems or is_everybodys or any(is_below(home, path) for home in _homes()):
        raise _bad(f"`{path}` cannot be a workspace", "use a folder made for the agent's work")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise _bad(
            f"`{path}` cannot be written by this user", "choose another, or change its owner"
        )


def _homes() -> set[str]:
    """The caller's own, as the environment and as the system have it."""
    found = {os.path.expanduser("~")}  # noqa: PTH111 (text, like its neighbours)
    if pwd is not None:
        with suppress(KeyError):
            found.add(pwd.getpwuid(os.geteuid()).pw_dir)
    return {os.path.realpath(each) for each in found}


@contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        descriptor = mount.open_plain(path)
    except OSError as error:
        if os.path.realpath(path) != path:
            what = f"`{path}` goes through a symbolic link"
            raise _bad(what, f"use `{os.path.realpath(path)}`, if that is what you mean") from error
        why = (error.strerror or "").lower()
        raise _bad(f"`{path}` cannot be opened: {why}", "name a folder that exists") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def mount_points(mountinfo: str) -> list[str]:
    """The places where something is mounted (proc(5), mountinfo)."""
    escaped = [line.split(" ")[4] for line in mountinfo.splitlines()]
    return [_ESCAPE.sub(lambda found: chr(int(found[1], 8)), each) for each in escaped]


def stage(plan: SandboxPlan, *, uid: int, gid: int) -> list[tuple[Bind, bool]]:
    """In a mount namespace of our own: put every bind on the stage, and what is shown of /etc.

    The binds with their places on the stage as sources, and whether each is read-only. Raises
    OSError, with the path as its file name.
    """
    mount.keep_to_ourselves()
    wanted = [(bind, True) for bind in plan.read_only]
    wanted += [(bind, False) for bind in plan.writable]
    trees = [_tree(plan, bind.source, is_read_only=is_read_only) for bind, is_read_only in wanted]
    mount.mount_temporary(STAGE, "mode=0700,size=32m")
    os.mkdir(f"{STAGE}{system_settings.ROOT}")  # noqa: PTH102 (the forked child keeps to plain calls)
    system_settings.put_together(plan, f"{STAGE}{system_settings.ROOT}", uid=uid, gid=gid)
    staged: list[tuple[Bind, bool]] = []
    for number, ((bind, is_read_only), tree) in enumerate(zip(wanted, trees, strict=True)):
        place = f"{STAGE}/{number}"
        _put(tree, place)
        staged.append((Bind(place, bind.seen), is_read_only))
        if not is_read_only:
            protect(place, plan.protected)
        if bind.source == plan.workspace and not is_read_only:
            hide(place, plan.hidden)
    return staged


def stage_devices() -> list[Bind]:
    """The devices that every sandbox has, on the stage, of which nobody can change the modes.

    For a sandbox that root starts: to the kernel its agent owns the machine's device files.
    """
    staged = [Bind(f"{STAGE}/device-{name}", f"/dev/{name}") for name in _DEVICES]
    for bind in staged:
        place = mount.open_plain(bind.seen)
        tree = mount.clone(place)
        mount.restrict(tree, mount.READ_ONLY | mount.NO_SETUID)
        _put(tree, bind.source)
        os.close(place)
    return staged


def open_known(plan: SandboxPlan, path: str) -> int:
    """Open a place of a plan, which must be what was looked at before. Raises OSError: ESTALE."""
    place = mount.open_plain(path)
    found = os.fstat(place)
    identity = (found.st_dev, found.st_ino)
    if plan.identities.get(path, identity) != identity:
        os.close(place)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
    return place


def _tree(plan: SandboxPlan, path: str, *, is_read_only: bool) -> int:
    try:
        place = open_known(plan, path)
        tree = mount.clone(place)
        os.close(place)
        attributes = mount.NO_SETUID | mount.NO_DEVICES
        mount.restrict(tree, attributes | (mount.READ_ONLY if is_read_only else 0))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    return tree


def _put(tree: int, place: str) -> None:
    """Mount a tree at a place of the stage, made for it."""
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        os.mkdir(place)  # noqa: PTH102 (the forked child keeps to plain calls)
    else:
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    target = mount.open_plain(place)
    mount.attach(tree, target)
    os.close(target)
    os.close(tree)


def protect(root: str, paths: Iterable[str]) -> None:
    """Make what exists at these paths below a mounted tree read-only, and its parents immovable.

    A parent that is a file, as `.git` of a worktree is, leads elsewhere and is read-only too.
    A parent that could be renamed away would take the protection with it; what is mounted on itself
    cannot be. Raises OSError: ELOOP for a symbolic link.
    """
    last = set(paths)
    parents = {path[:at] for path in last for at, sign in enumerate(path) if sign == "/"}
    for path in sorted(last | parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            _cover(root, path, is_read_only=path in last)


def _cover(root: str, path: str, *, is_read_only: bool) -> None:
    top = mount.open_plain(root)
    try:
        place = mount.open_plain(path, within=top)
    finally:
        os.close(top)
    tree = mount.clone(place)
    if is_read_only or not stat.S_ISDIR(os.fstat(place).st_mode):
        mount.restrict(tree, mount.READ_ONLY)
    mount.attach(tree, place)
    os.close(tree)
    os.close(place)


def hide(root: str, paths: Iterable[str]) -> None:
    """Show emptiness in place of what exists at these paths below a mounted tree."""
    for number, path in enumerate(sorted(paths)):
        with suppress(FileNotFoundError, NotADirectoryError):
            top = mount.open_plain(root)
            place = mount.open_plain(path, within=top)
            os.close(top)
            blank = f"{STAGE}/blank{number}"
            if stat.S_ISDIR(os.fstat(place).st_mode):
                os.mkdir(blank, 0o500)  # noqa: PTH102 (the forked child keeps to plain calls)
            else:
                os.close(os.open(blank, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o400))
            source = mount.open_plain(blank)
            tree = mount.clone(source)
            mount.restrict(tree, mount.READ_ONLY)
            mount.attach(tree, place)
            for each in (source, tree, place):
                os.close(each)


def _bad(message: str, help_: str) -> UsageError:
    return UsageError("bad_workspace", message, help=help_)
