"""What became of a workspace: how it stood before the sandbox, and what is different after it.

Nothing is followed and nothing waits: links are entries like files, other file systems are left
out, and both looks are bounded in entries, time and bytes that are read. What was left out is said.
"""

import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, final

import msgspec

_CHUNK_BYTES: Final = 1 << 20
_HASHED_BYTES: Final = 64 << 20
"""Of one file; a larger one is told by its size alone."""
_HIDDEN_MOST: Final = 1_000
"""New entries of one folder, hidden or in what is hidden, that come before others."""
_HERE_ALONE: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _HERE_ALONE
FILE: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _HERE_ALONE
"""How both are opened, where links cannot lead away; Windows, which has no sandbox, lacks them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is looked at. Our figures: a large repository fits, a hostile one ends soon."""

    entries: int = 200_000
    seconds: float = 5.0
    hashed_bytes: int = 512 << 20
    listed: int = 1_000
    depth: int = 64


class Entry(NamedTuple):
    """One entry as it stood; two that differ in anything are different.

    `changed_ns` is the inode's own time (ctime), which no process can set.
    """

    kind: str
    size: int
    modified_ns: int
    changed_ns: int
    inode: int
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Every entry below a folder, by its path in bytes; `is_partial` if a bound was reached."""

    entries: Mapping[bytes, Entry] = field(default_factory=dict)
    is_partial: bool = False


class FileChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry that is new or different. `sha256` is empty for what is no file or was not read."""

    path: str
    kind: str = "file"
    size: int = 0
    sha256: str = ""
    is_executable: bool = False


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many there were of each, listed or not."""

    added: int
    changed: int
    removed: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is different; the lists are in order and hold the first of many."""

    counts: Counts
    added: list[FileChange]
    changed: list[FileChange]
    removed: list[str]
    is_partial: bool = False
    """Whether there was too much to look at all of it."""


class _Limit:
    """What is left of the bounds of one look."""

    def __init__(self, bounds: Bounds) -> None:
        self._left = self.entries = bounds.entries
        self._until_s = time.monotonic() + bounds.seconds
        self.depth = bounds.depth
        self.is_reached = False
        """Whether anything was left out; what comes after it may still be looked at."""

    def takes(self) -> bool:
        """Whether one more entry may be looked at."""
        self._left -= 1
        return self.has(self._left >= 0) and self.is_in_time()

    def is_in_time(self) -> bool:
        """Whether there is time for more."""
        return self.has(time.monotonic() <= self._until_s)

    def has(self, room: bool) -> bool:  # noqa: FBT001 (it is what is asked)
        """`room`, and notes where there was none."""
        self.is_reached = self.is_reached or not room
        return room


def look(folder: Path, bounds: Bounds | None = None, known: Snapshot | None = None) -> Snapshot:
    """Everything below a folder as it stands. Raises OSError if the folder cannot be opened.

    Where a bound is reached, what matters most has been looked at: what was `known` and what is
    hidden comes before the rest, and higher before deeper. So a flood of entries hides no hidden
    file in a folder that was there before it.
    """
    limit = _Limit(bounds or Bounds())
    root = os.open(folder, FOLDER)
    try:
        walk = _Walk(root, limit, known.entries if known is not None else {})
        entries = dict(walk.entries())
    finally:
        os.close(root)
    return Snapshot(entries=entries, is_partial=limit.is_reached)


def compare(
    folder: Path, before: Snapshot, after: Snapshot, bounds: Bounds | None = None
) -> Summary:
    """What is different, with the hashes of what is there now."""
    limits = bounds or Bounds()
    old, new = before.entries, after.entries
    added = sorted(path for path in new if path not in old)
    changed = sorted(path for path, entry in new.items() if old.get(path, entry) != entry)
    # What was not looked at any more is not gone.
    removed = [] if after.is_partial else sorted(path for path in old if path not in new)
    files = [path for path in changed if new[path].kind != "folder"]
    reader = _Reader(folder, limits)
    return Summary(
        counts=Counts(added=len(added), changed=len(files), removed=len(removed)),
        added=[reader.told(path, new[path]) for path in added[: limits.listed]],
        changed=[reader.told(path, new[path]) for path in files[: limits.listed]],
        removed=[shown(path) for path in removed[: limits.listed]],
        is_partial=before.is_partial or after.is_partial,
    )


def shown(path: bytes) -> str:
    """A path as text that any encoder takes; what is not UTF-8 stands as a backslash and hex."""
    return path.decode("utf-8", "backslashreplace")


def open_below(root: int, path: bytes, flags: int = FILE) -> int:
    """Open what a path names below a folder, following no link on the way. Raises OSError."""
    *folders, name = path.split(b"/")
    at = os.dup(root)
    try:
        for each in folders:
            inner = os.open(each, FOLDER, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(name, flags, dir_fd=at)
    finally:
        os.close(at)


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
                if not self._limit.takes():
                    return
                yield folder, entry
            for path, entry in self._first(folder):
                if not self._limit.takes():
                    return
                yield path, entry
        for path, entry in self._files:
            if not self._limit.takes():
                return
            yield path, entry

    def _first(self, folder: bytes) -> Sequence[tuple[bytes, Entry]]:
        """What of a folder is told at once: what was known, and the first of what is hidden."""
        first: list[tuple[bytes, Entry]] = []
        files: list[tuple[bytes, Entry]] = []
        hidden = 0
        for path, state in sorted(self._listed(folder)):
            entry, is_known = _entry(state), path in self._known
            is_folder = entry.kind == "folder" and self._is_within(path, state)
            has_dot = b"/." in b"/" + path
            hidden += has_dot and not is_known
            is_hidden = has_dot and hidden <= _HIDDEN_MOST
            if is_folder and (is_known or is_hidden):
                self._folders.append(path)
            if is_known or is_hidden:
                first.append((path, entry))
            elif is_folder:
                self._new_folders.append((path, entry))
            else:
                files.append((path, entry))
        room = max(0, self._limit.entries - len(self._files))
        self._limit.has(len(files) <= room)
        self._files += files[:room]
        return first

    def _is_within(self, path: bytes, state: os.stat_result) -> bool:
        """Whether what is in a folder is looked at too."""
        is_near = self._limit.has(path.count(b"/") < self._limit.depth)
        return is_near and state.st_dev == self._device

    def _listed(self, folder: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        try:
            opened = open_below(self._root, folder, FOLDER) if folder else os.dup(self._root)
        except PermissionError:
            self._limit.has(False)  # noqa: FBT003 (no room: it is left out, and that is said)
            return
        except OSError:
            return
        prefix = folder + b"/" if folder else b""
        try:
            with os.scandir(opened) as found:
                for each in found:
                    if not self._limit.is_in_time():
                        return
                    with suppress(OSError):
                        yield prefix + os.fsencode(each.name), each.stat(follow_symlinks=False)
        finally:
            os.close(opened)


def _entry(state: os.stat_result) -> Entry:
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
    )


class _Reader:
    """Reads files for their hashes, up to a number of bytes and seconds of all together."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self._folder = folder
        self._left_bytes = bounds.hashed_bytes
        self._until_s = time.monotonic() + bounds.seconds

    def told(self, path: bytes, entry: Entry) -> FileChange:
        """One entry with its hash, if it is a file that may be read."""
        is_file = entry.kind == "file"
        return FileChange(
            path=shown(path),
            kind=entry.kind,
            size=entry.size,
            sha256=self._hash(path, entry) if is_file else "",
            is_executable=is_file and bool(entry.mode & 0o111),
        )

    def _hash(self, path: bytes, entry: Entry) -> str:
        is_late = time.monotonic() > self._until_s
        if entry.size > min(_HASHED_BYTES, self._left_bytes) or is_late:
            return ""
        self._left_bytes -= entry.size
        try:
            root = os.open(self._folder, FOLDER)
            try:
                opened = open_below(root, path)
            finally:
                os.close(root)
        except OSError:
            return ""
        with open(opened, "rb") as file:  # noqa: PTH123 (an open descriptor has no path)
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                return ""
            digest = hashlib.sha256()
            left = _HASHED_BYTES
            while left > 0 and (piece := file.read(min(_CHUNK_BYTES, left))):
                digest.update(piece)
                left -= len(piece)
            return digest.hexdigest()
