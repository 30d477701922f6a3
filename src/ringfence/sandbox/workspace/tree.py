"""Everything below a folder as it stands, within bounds: the look at a workspace.

Nothing is followed and nothing waits: links are entries like files, other file systems are left
out, and a look is bounded in entries, time and depth. That something was left out is said.
"""

import os
import stat
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

from ringfence.sandbox.workspace.folder import reached

_HIDDEN_MOST: Final = 1_000
"""New entries of one folder, hidden or in what is hidden, that come before others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is looked at. Our figures: a large repository fits, a hostile one ends soon.

    `path_bytes` is of the paths of all entries; a folder whose own is longer than `folder_bytes` is
    not looked into: an agent can make far longer ones than any program can name.
    """

    entries: int = 200_000
    path_bytes: int = 64 << 20
    folder_bytes: int = 1_024
    seconds: float = 5.0
    hashed_bytes: int = 512 << 20
    listed: int = 1_000
    depth: int = 64


class Entry(NamedTuple):
    """One entry as it stood; two that differ in anything are different.

    `changed_ns` is the inode's own time (ctime), which no process can set; `links` how many names
    the file has, in the folder or elsewhere.
    """

    kind: str
    size: int
    modified_ns: int
    changed_ns: int
    inode: int
    mode: int
    links: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Every entry below a folder, by its path in bytes; `is_partial` if a bound was reached."""

    entries: Mapping[bytes, Entry] = field(default_factory=dict)
    is_partial: bool = False


def look(root: int, bounds: Bounds | None = None, known: Snapshot | None = None) -> Snapshot:
    """Everything below an open folder as it stands.

    Where a bound is reached, what matters most has been looked at: what was `known` and what is
    hidden comes before the rest, and higher before deeper. So a flood of entries hides no hidden
    file in a folder that was there before it.
    """
    limit = _Limit(bounds or Bounds())
    walk = _Walk(root, limit, known.entries if known is not None else {})
    return Snapshot(entries=dict(walk.entries()), is_partial=limit.is_reached)


def shown(path: bytes) -> str:
    """A path as text that any encoder takes; what is not UTF-8 stands as a backslash and hex."""
    return path.decode("utf-8", "backslashreplace")


class _Limit:
    """What is left of the bounds of one look."""

    def __init__(self, bounds: Bounds) -> None:
        self._left = self.entries = bounds.entries
        self._left_bytes = bounds.path_bytes
        self._until_s = time.monotonic() + bounds.seconds
        self._depth, self._folder_bytes = bounds.depth, bounds.folder_bytes
        self.is_reached = False
        """Whether anything was left out; what comes after it may still be looked at."""

    def takes(self, path: bytes) -> bool:
        """Whether one more entry may be looked at."""
        self._left -= 1
        self._left_bytes -= len(path)
        return self.has(min(self._left, self._left_bytes) >= 0) and self.is_in_time()

    def enters(self, folder: bytes) -> bool:
        """Whether it is near enough to be looked into."""
        is_near = folder.count(b"/") < self._depth and len(folder) <= self._folder_bytes
        return self.has(is_near)

    def is_in_time(self) -> bool:
        """Whether there is time for more."""
        return self.has(time.monotonic() <= self._until_s)

    def has(self, room: bool) -> bool:  # noqa: FBT001 (it is what is asked)
        """`room`, and notes where there was none."""
        self.is_reached = self.is_reached or not room
        return room

    def leave_out(self) -> None:
        """Something could not be looked at."""
        self.is_reached = True


@final
class _Walk:
    """One look, folder by folder; what is put off waits its turn behind what matters more."""

    def __init__(self, root: int, limit: _Limit, known: Mapping[bytes, Entry]) -> None:
        self._root = root
        self._device = os.fstat(root).st_dev
        self._limit = limit
        self._known = known
        self._folders: deque[bytes] = deque([b""])
        """Known ones."""
        self._new_folders: deque[tuple[bytes, Entry]] = deque()
        self._files: list[tuple[bytes, Entry]] = []

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        """Each entry once, until a bound is reached."""
        while self._folders or self._new_folders:
            if self._folders:
                folder = self._folders.popleft()
            else:
                folder, entry = self._new_folders.popleft()
                if not self._limit.takes(folder):
                    return
                yield folder, entry
            for path, entry in self._first(folder):
                if not self._limit.takes(path):
                    return
                yield path, entry
        for path, entry in self._files:
            if not self._limit.takes(path):
                return
            yield path, entry

    def _first(self, folder: bytes) -> Sequence[tuple[bytes, Entry]]:
        """What of a folder is told at once: what was known, and the first of what is hidden."""
        first: list[tuple[bytes, Entry]] = []
        files: list[tuple[bytes, Entry]] = []
        hidden = 0
        for path, entry, is_other in sorted(self._listed(folder)):
            is_known, has_dot = path in self._known, _has_dot(path)
            is_folder = entry.kind == "folder" and self._is_within(path, is_other=is_other)
            hidden += has_dot and not is_known
            is_hidden = has_dot and hidden <= _HIDDEN_MOST
            if is_folder and (is_known or is_hidden):
                self._folders.append(path)
            if is_known or is_hidden:
                first.append((path, entry))
            elif is_folder:
                if self._limit.has(len(self._new_folders) < self._limit.entries):
                    self._new_folders.append((path, entry))
            else:
                files.append((path, entry))
        room = max(0, self._limit.entries - len(self._files))
        self._limit.has(len(files) <= room)
        self._files += files[:room]
        return first

    def _is_within(self, path: bytes, *, is_other: bool) -> bool:
        """Whether what is in a folder is looked at too: not in another file system or subvolume."""
        return self._limit.enters(path) and self._limit.has(not is_other)

    def _listed(self, folder: bytes) -> list[tuple[bytes, Entry, bool]]:
        """What is in a folder, and whether each is of another file system."""
        prefix = folder + b"/" if folder else b""
        found: list[tuple[bytes, Entry, bool]] = []
        hidden = 0
        try:
            with reached(self._root, folder) as at, os.scandir(at) as entries:
                for each in entries:
                    path = prefix + os.fsencode(each.name)
                    hidden += _has_dot(path)
                    is_first = path in self._known or (
                        _has_dot(path) and hidden <= self._limit.entries
                    )
                    if not self._limit.has(is_first or len(found) < self._limit.entries):
                        continue
                    if not self._limit.is_in_time():
                        break
                    try:
                        state = each.stat(follow_symlinks=False)
                    except FileNotFoundError:  # gone meanwhile
                        continue
                    found.append((path, entry_of(state), state.st_dev != self._device))
        except (FileNotFoundError, NotADirectoryError):  # exchanged meanwhile
            pass
        except OSError:
            self._limit.leave_out()
        return found


def _has_dot(path: bytes) -> bool:
    """Whether it is hidden, or in what is hidden."""
    return b"/." in b"/" + path


def entry_of(state: os.stat_result) -> Entry:
    """What is seen there."""
    is_folder = stat.S_ISDIR(state.st_mode)
    if is_folder:  # what is in it tells more than its times
        return Entry("folder", 0, 0, 0, state.st_ino, stat.S_IMODE(state.st_mode))
    kind = "file" if stat.S_ISREG(state.st_mode) else "other"
    kind = "link" if stat.S_ISLNK(state.st_mode) else kind
    return Entry(
        kind,
        state.st_size,
        state.st_mtime_ns,
        state.st_ctime_ns,
        state.st_ino,
        stat.S_IMODE(state.st_mode),
        state.st_nlink,
    )
