"""Files that may run later, searched for in a folder that holds more than was looked at.

An agent can hide a file behind hundreds of thousands of others. Here names alone are read, and only
what may run later is kept, so that all of them can be gone through.
"""

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, final

from ringfence.sandbox.workspace import git_state, late_place
from ringfence.sandbox.workspace.folder import reached
from ringfence.sandbox.workspace.late_code import CLOCK_NS, Before
from ringfence.sandbox.workspace.tree import Entry, Snapshot, entry_of

_OF_GIT: Final = frozenset(
    {b".git", b"head", b"objects", b"config", b"config.worktree", b"commondir"}
)
_STATES: Final = tuple(os.fsencode(each) for each in git_state.STATES)
_ANY_NAME: Final = b"/\x01"
"""Stands for whatever lies in a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchBounds:
    """How much is gone through. Our figures: some ten million names in the time.

    `crowd` is how many new files of a folder in which all of them run later are told one by one.
    """

    seconds: float = 60.0
    folders: int = 1_000_000
    found: int = 200_000
    crowd: int = 1_000
    depth: int = 64
    folder_bytes: int = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A look with what was found beside it, and folders of which every file runs later.

    Such a folder is `crowded`: it is new, or holds more than can be told one by one.
    """

    snapshot: Snapshot
    crowded: frozenset[bytes] = field(default_factory=frozenset)


def search(
    root: int, before: Before, after: Snapshot, bounds: SearchBounds | None = None
) -> Searched:
    """Go through all below an open folder that was looked at in part."""
    found = _Search(root, before, after, bounds or SearchBounds())
    entries = {**after.entries, **dict(found.entries())}
    return Searched(
        snapshot=Snapshot(entries=entries, is_partial=True), crowded=frozenset(found.crowded)
    )


@final
class _Search:
    """One search, folder by folder, higher before deeper."""

    def __init__(self, root: int, before: Before, after: Snapshot, bounds: SearchBounds) -> None:
        self._root = root
        self._device = os.fstat(root).st_dev
        self._before, self._seen, self._bounds = before, after.entries, bounds
        self._until_s = time.monotonic() + bounds.seconds
        self._folders: deque[bytes] = deque([b""])
        self._left = bounds.found
        self.crowded: set[bytes] = set()

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        """What matters and was not seen, each once, until a bound is reached."""
        while self._folders and self._left > 0 and time.monotonic() <= self._until_s:
            folder = self._folders.popleft()
            for path, entry in self._in(folder):
                self._left -= 1
                yield path, entry

    def _in(self, folder: bytes) -> list[tuple[bytes, Entry]]:
        """What matters of one folder; those with short names first, which programs look for."""
        is_late = self._is_late(folder)
        if is_late and self._is_new(folder):
            self.crowded.add(folder)
            return []
        try:
            with reached(self._root, folder) as at:
                if os.fstat(at).st_dev != self._device:
                    return []
                found = self._listed(at, folder + b"/" if folder else b"")
        except OSError:
            return []
        if is_late and sum(map(self._is_fresh, found)) > self._bounds.crowd:
            self.crowded.add(folder)
            return []
        found.sort(key=lambda each: (len(each[0]), each[0]))
        return found[: self._left]

    def _listed(self, at: int, prefix: bytes) -> list[tuple[bytes, Entry]]:
        found: list[tuple[bytes, Entry]] = []
        with os.scandir(at) as entries:
            for each in entries:
                if time.monotonic() > self._until_s:
                    break
                path = prefix + os.fsencode(each.name)
                if each.is_dir(follow_symlinks=False):
                    self._enter(path)
                if path in self._seen or not self._matters(path, is_link=each.is_symlink()):
                    continue
                try:
                    found.append((path, entry_of(each.stat(follow_symlinks=False))))
                except FileNotFoundError:  # gone meanwhile
                    continue
        return found

    def _enter(self, path: bytes) -> None:
        is_near = path.count(b"/") < self._bounds.depth and len(path) <= self._bounds.folder_bytes
        if is_near and len(self._folders) < self._bounds.folders:
            self._folders.append(path)

    def _matters(self, path: bytes, *, is_link: bool) -> bool:
        lowered = path.rpartition(b"/")[2].lower()
        if lowered in _OF_GIT or path.lower().endswith(_STATES):
            return True
        if is_link and late_place.leads_to_such(path):
            return True
        return bool(late_place.why(path, self._before.hooks))

    def _is_late(self, folder: bytes) -> bool:
        return bool(folder and late_place.why(folder + _ANY_NAME, self._before.hooks))

    def _is_fresh(self, found: tuple[bytes, Entry]) -> bool:
        """Whether it may be of the run: what a look before it left out may be many and honest."""
        return found[1].changed_ns >= self._before.at_ns - CLOCK_NS

    def _is_new(self, folder: bytes) -> bool:
        known = self._before.snapshot
        return not known.is_partial and folder not in known.entries
