"""What became of a workspace: what is different after a run, as it is told and recorded."""

import hashlib
import os
import stat
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ringfence.sandbox.workspace.folder import opened
from ringfence.sandbox.workspace.tree import Bounds, Entry, Snapshot, shown

_CHUNK_BYTES: Final = 1 << 20
_HASHED_BYTES: Final = 64 << 20
"""Of one file; a larger one is told by its size alone."""


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
    trouble: str = ""
    """What was wrong with the folder itself: it was moved, or could not be looked at at all."""
    elsewhere: list[str] = []
    """Files that were changed and have names outside of the folder too (hard links)."""


def compare(root: int, before: Snapshot, after: Snapshot, bounds: Bounds | None = None) -> Summary:
    """What is different below an open folder, with the hashes of what is there now."""
    limits = bounds or Bounds()
    old, new = before.entries, after.entries
    added = sorted(path for path in new if path not in old)
    changed = sorted(path for path, entry in new.items() if old.get(path, entry) != entry)
    # What was not looked at any more is not gone.
    removed = [] if after.is_partial else sorted(path for path in old if path not in new)
    files = [path for path in changed if new[path].kind != "folder"]
    reader = _Reader(root, limits)
    return Summary(
        counts=Counts(added=len(added), changed=len(files), removed=len(removed)),
        added=[reader.told(path, new[path]) for path in added[: limits.listed]],
        changed=[reader.told(path, new[path]) for path in files[: limits.listed]],
        removed=[shown(path) for path in removed[: limits.listed]],
        is_partial=before.is_partial or after.is_partial,
        elsewhere=[shown(path) for path in _elsewhere(files, old, new)[: limits.listed]],
    )


def _elsewhere(
    changed: Sequence[bytes], old: Mapping[bytes, Entry], new: Mapping[bytes, Entry]
) -> list[bytes]:
    """Which of these are the same files as before, and have more names than were seen here."""
    names = Counter(entry.inode for entry in new.values() if entry.links > 1)
    return [
        path
        for path in changed
        if new[path].kind == "file"
        and new[path].links > names[new[path].inode] > 0
        and old[path].inode == new[path].inode
    ]


def unseen(trouble: str) -> Summary:
    """What is told of a folder that could not be looked at."""
    counts = Counts(added=0, changed=0, removed=0)
    return Summary(
        counts=counts, added=[], changed=[], removed=[], is_partial=True, trouble=trouble
    )


class _Reader:
    """Reads files for their hashes, up to a number of bytes and seconds of all together."""

    def __init__(self, root: int, bounds: Bounds) -> None:
        self._root = root
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
        """Empty for what is too large, no file any more, or grows while it is read."""
        if entry.size > min(_HASHED_BYTES, self._left_bytes) or self._is_late():
            return ""
        try:
            with opened(self._root, path) as descriptor:
                return self._digest(descriptor, entry.size)
        except OSError:
            return ""

    def _digest(self, descriptor: int, size: int) -> str:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        digest, left = hashlib.sha256(), size
        while not self._is_late():
            piece = os.read(descriptor, min(_CHUNK_BYTES, left + 1))
            digest.update(piece)
            self._left_bytes -= len(piece)
            left -= len(piece)
            if not piece:
                return digest.hexdigest()
            if left < 0:
                return ""
        return ""

    def _is_late(self) -> bool:
        return time.monotonic() > self._until_s
