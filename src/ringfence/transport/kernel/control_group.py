"""Control groups: bound, count and end all processes of one tree together (cgroups(7)).

Version 2 has one hierarchy with every controller, version 1 one for each; a hybrid machine has
both. A group is a folder; whoever holds the lock on that folder (flock(2)) owns the group. So it is
known for certain when its owner has died, whatever became of its process id.
"""

import contextlib
import errno
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

from ringfence.transport import entropy
from ringfence.transport.kernel import setting

try:
    import fcntl
except ImportError:  # Windows, where importing must not fail
    fcntl = None  # type: ignore[assignment] # absent there, and nothing here is called

PIDS: Final = "pids"
MEMORY: Final = "memory"
CPU: Final = "cpu"
ALWAYS: Final = (PIDS, MEMORY)
"""What every sandbox is bounded by; processor time only where that is asked for."""
_KNOWN: Final = (*ALWAYS, CPU)
_PERIOD_US: Final = 100_000
"""As long as the kernel's own; a share of it is what a group may run in each."""
_PERCENT: Final = 100
_NAME: Final = re.compile(r"ringfence-[0-9]+-[0-9a-f]{8}")
"""Only what `make` can have named is ours. A service that somebody calls `ringfence-up` has a group
`ringfence-up.service` beside ours, which systemd holds without a lock."""
_TRIES: Final = 3
"""A sweeper may take a group for dead between its making and its lock."""
_EMPTY_S: Final = 2.0
"""How long killed processes may take to leave a group."""
_STEP_S: Final = 0.002
_ESCAPES: Final = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))
"""How proc(5) writes what would end a field of mountinfo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """One mounted tree of groups; `own` is the folder of this process's group in it.

    `controllers` are those of version 1; in version 2 each group says which it has.
    """

    version: int
    mount: str
    own: str
    controllers: frozenset[str] = frozenset()

    @property
    def chain(self) -> Iterator[str]:
        """The own group's folder and those above it, as far as they are seen."""
        folder = self.own
        while True:
            yield folder
            if folder == self.mount:
                return
            folder = os.path.dirname(folder)  # noqa: PTH120 (text, as the kernel gives it)


def hierarchies(groups: str | None = None, mounts: str | None = None) -> tuple[Hierarchy, ...]:
    """What of /proc/self/cgroup is mounted, writable, and shows the own group.

    The texts of that file and of /proc/self/mountinfo may be given. Empty where there is none.
    """
    groups = _text("/proc/self/cgroup") if groups is None else groups
    mounts = _text("/proc/self/mountinfo") if mounts is None else mounts
    own = {controllers: path for _, controllers, path in _lines(groups)}
    found = (_hierarchy(line, own) for line in mounts.splitlines())
    return tuple({each.mount: each for each in found if each is not None}.values())


def _lines(groups: str) -> Iterator[tuple[str, str, str]]:
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        yield number, controllers, path


def _hierarchy(line: str, own: dict[str, str]) -> Hierarchy | None:
    before, _, after = line.partition(" - ")
    seen, said = before.split(), after.split()
    if not said or said[0] not in {"cgroup", "cgroup2"}:
        return None
    root, mount = _plain(seen[3]), _plain(seen[4])
    if "ro" in seen[5].split(",") or "ro" in said[2].split(","):
        return None
    if said[0] == "cgroup2":
        key, version = "", 2
    else:
        options = set(said[2].split(","))
        key = next((each for each in own if each and set(each.split(",")) <= options), "")
        version = 1
    if key not in own or (version == 1 and not key):
        return None
    below = _below(own[key], root)
    if below is None:
        return None
    controllers = frozenset(key.split(",")) & {*_KNOWN}
    folder = mount + below if below else mount
    return Hierarchy(version=version, mount=mount, own=folder, controllers=controllers)


def _plain(field: str) -> str:
    for written, meant in _ESCAPES:
        field = field.replace(written, meant)
    return field


def _below(path: str, root: str) -> str | None:
    """A group's path from the root that is mounted; None if it lies elsewhere."""
    if root == "/":
        return path.rstrip("/")
    if path == root or path.startswith(root + "/"):
        return path[len(root) :]
    return None


def place(
    hierarchy: Hierarchy, controllers: Sequence[str] = ALWAYS
) -> tuple[str, frozenset[str]] | None:
    """Under which group one can be made, and with which of these controllers; None if nowhere.

    Version 1: under the own one. Version 2: under the nearest above that may have processes beside
    us in it ("no internal processes"), which also says which controllers those get.
    """
    if hierarchy.version == 1:
        wanted = hierarchy.controllers & {*controllers}
        return (hierarchy.own, wanted) if wanted and _is_writable(hierarchy.own) else None
    best: tuple[str, frozenset[str]] | None = None
    for folder in hierarchy.chain:
        if _is_writable(folder) and _words(folder, "cgroup.type") in ([], ["domain"]):
            had = _enabled(folder, controllers)
            if best is None or len(had) > len(best[1]):
                best = folder, had
            if len(had) == len(controllers):
                break
    return best


def _is_writable(folder: str) -> bool:
    return os.access(folder, os.W_OK) and os.access(f"{folder}/cgroup.procs", os.W_OK)


def _enabled(folder: str, wanted: Sequence[str]) -> frozenset[str]:
    """The wanted controllers that groups below a folder have; turns on what is lacking if it may.

    The kernel refuses that for a group that has processes itself, but for the first of all.
    """
    there = {*_words(folder, "cgroup.subtree_control")}
    had = _words(folder, "cgroup.controllers")
    lacking = [each for each in wanted if each in had and each not in there]
    is_first = not os.path.exists(f"{folder}/cgroup.type")  # noqa: PTH110 (text)
    if lacking and (is_first or not _words(folder, "cgroup.procs")):
        _turn_on(folder, lacking)
        there = {*_words(folder, "cgroup.subtree_control")}
    return frozenset(there & {*wanted})


def _turn_on(folder: str, controllers: Sequence[str]) -> None:
    """All at once, or those that can be: the kernel takes none if it refuses one."""
    file = f"{folder}/cgroup.subtree_control"
    try:
        setting.write(file, " ".join(f"+{each}" for each in controllers))
    except OSError:
        for each in controllers:
            with contextlib.suppress(OSError):
                setting.write(file, f"+{each}")


@final
class ControlGroup:
    """A group that this process made and owns. Remove it at the end."""

    def __init__(self, path: str, version: int, descriptor: int) -> None:
        """`descriptor` is the locked folder's."""
        self.path = path
        self.version = version
        self._descriptor = descriptor

    def take(self, pid: int) -> None:
        """Have a process in it, with all that it will start. Raises OSError."""
        self.write("cgroup.procs", str(pid))

    def write(self, name: str, text: str) -> None:
        """Set one of its files. Raises OSError."""
        setting.write(f"{self.path}/{name}", text)

    def bound_processors(self, percent: int) -> None:
        """Let all of it run so much of each period together; 100 is one processor. Raises OSError.

        Source: `cpu.max` of the kernel's cgroup-v2.rst, and sched-bwc.rst for version 1.
        """
        quota = percent * _PERIOD_US // _PERCENT
        if self.version == 1:
            self.write("cpu.cfs_period_us", str(_PERIOD_US))
            self.write("cpu.cfs_quota_us", str(quota))
        else:
            self.write("cpu.max", f"{quota} {_PERIOD_US}")

    def count(self, name: str, word: str) -> int:
        """What one of its files of `word number` lines says; 0 if it has no such."""
        words = _words(self.path, name)
        return next((int(words[at + 1]) for at, each in enumerate(words) if each == word), 0)

    def kill(self) -> None:
        """End every process in it at once; nothing more can be started in it."""
        _kill(self.path)

    def remove(self) -> None:
        """End what is in it, and it. Harmless if it has gone."""
        _remove(self.path)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def make(parent: str, version: int) -> ControlGroup:
    """A group under another, locked. Raises OSError."""
    for _ in range(_TRIES):
        path = f"{parent}/ringfence-{os.getpid()}-{entropy.random_bytes(4).hex()}"
        os.mkdir(path, 0o755)  # noqa: PTH102 (text)
        descriptor = _locked(path)
        if descriptor is not None and os.path.isdir(path):  # noqa: PTH112 (text)
            return ControlGroup(path, version, descriptor)
        if descriptor is not None:
            os.close(descriptor)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), parent)


def sweep(folders: Sequence[str]) -> int:
    """End and remove the groups directly below these folders whose owners have died; how many."""
    found = [
        f"{folder}/{name}"
        for folder in folders
        for name in _listed(folder)
        if _NAME.fullmatch(name)
    ]
    return sum(map(reap, found))


def reap(path: str) -> bool:
    """End and remove one of our groups if nobody owns it any more; whether it was so."""
    if not _NAME.fullmatch(os.path.basename(path)) or not _is_writable(path):  # noqa: PTH119 (text)
        return False
    descriptor = _locked(path)
    if descriptor is None:
        return False
    try:
        return _remove(path)
    finally:
        os.close(descriptor)


def _locked(path: str) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove(path: str) -> bool:
    ends = time.monotonic() + _EMPTY_S
    while True:
        try:
            os.rmdir(path)  # noqa: PTH106 (text)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > ends:
                return False
            _kill(path)
            time.sleep(_STEP_S)
        else:
            return True


def _kill(path: str) -> None:
    """By the kernel in one step where it can (Linux 5.14, version 2); else one after another."""
    try:
        setting.write(f"{path}/cgroup.kill", "1")
    except OSError:
        with contextlib.suppress(OSError):
            setting.write(f"{path}/pids.max", "0")
        _each(path, lambda pidfd: signal.pidfd_send_signal(pidfd, signal.SIGKILL))


def _each(path: str, do: Callable[[int], None]) -> None:
    """Do it to every process that is in a group after it was opened, and so is meant."""
    with contextlib.ExitStack() as after:
        opened: dict[str, int] = {}
        for pid in _words(path, "cgroup.procs"):
            with contextlib.suppress(OSError):
                opened[pid] = os.pidfd_open(int(pid))
                after.callback(os.close, opened[pid])
        for pid in _words(path, "cgroup.procs"):
            if pid in opened:
                with contextlib.suppress(OSError):
                    do(opened[pid])


def least(hierarchy: Hierarchy, name: str) -> int | None:
    """The smallest number that one of our own groups' files of this name holds; None if none."""
    said = [word for folder in hierarchy.chain for word in _words(folder, name)[:1]]
    return min((int(word) for word in said if word.isdigit()), default=None)


def least_processors(hierarchy: Hierarchy) -> int | None:
    """How much the own group and those above may run, the least of them in percent; None if all.

    100 is one processor.
    """
    said = [found for folder in hierarchy.chain for found in _share(folder, hierarchy.version)]
    return min(said, default=None)


def _share(folder: str, version: int) -> Iterator[int]:
    if version == 1:
        words = [*_words(folder, "cpu.cfs_quota_us"), *_words(folder, "cpu.cfs_period_us")]
    else:
        words = _words(folder, "cpu.max")
    if len(words) == 2 and all(each.isdigit() for each in words):  # noqa: PLR2004 (quota, period)
        yield max(1, int(words[0]) * _PERCENT // int(words[1]))


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 (text)
    except OSError:
        return []


def _words(folder: str, name: str) -> list[str]:
    return _text(f"{folder}/{name}").split()


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 (a file of the kernel)
            return file.read()
    except OSError:
        return ""
