"""One folder that an agent may change, held open from before the run until it was looked at.

Whoever may move the folder away meanwhile (an agent whose workspace it lies in) hides nothing: what
is looked at is the folder that the sandbox was given, wherever it is by then.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import msgspec

from ringfence.sandbox import mount_guard
from ringfence.sandbox.workspace import (
    host_git,
    late_code,
    late_search,
    mask,
    quarantine,
    summary,
    tree,
)
from ringfence.sandbox.workspace.folder import open_folder
from ringfence.sandbox.workspace.late_code import Before, LateCode
from ringfence.sandbox.workspace.quarantine import SetAside
from ringfence.sandbox.workspace.summary import Summary
from ringfence.sandbox.workspace.tree import Bounds, Snapshot

_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a run has left in a folder."""

    summary: Summary
    aside: list[SetAside]


@final
class WatchedFolder:
    """Made before the sandbox is, which is to be of the same folder (`identity`)."""

    def __init__(self, path: str, bounds: Bounds | None = None) -> None:
        """Open it. Raises UsageError `bad_workspace`."""
        mount_guard.check_folder(path)
        self.path = path
        self._bounds = bounds
        self._root = open_folder(path)
        found = os.fstat(self._root)
        self.identity = (found.st_dev, found.st_ino)
        self._mode = stat.S_IMODE(found.st_mode)
        self._before = Before(snapshot=Snapshot(is_partial=True))
        self.is_owed = False
        """Whether a run may have begun in it that nobody has looked after."""

    def lacking(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Which of these are not there, though what they would lie in is."""
        return mask.lacking(self._root, paths)

    def put_masks(self, paths: Iterable[str]) -> None:
        """Make an empty folder in the place of each. Raises UsageError `bad_workspace`."""
        mask.make(self._root, paths)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._root)

    def look(self, at_ns: int, shared_since_ns: int | None = None) -> None:
        """See how it is before the run, which begins now (UTC).

        Since `shared_since_ns` other agents are at work in it: what changed since is theirs, and
        nothing to be put back.
        """
        self.is_owed = True
        before = tree.look(self._root, self._bounds)
        hooks = host_git.hook_folders(self.path)
        self._before = late_code.keep(self._root, before, at_ns, shared_since_ns, hooks)

    def changed_since(self, at_ns: int) -> list[str]:
        """What would run later and is not older than this time (UTC), to be told of."""
        now = tree.look(self._root, self._bounds)
        nothing = Before(snapshot=Snapshot(is_partial=True), at_ns=at_ns)
        return [tree.shown(each.path) for each in late_code.find(self._root, nothing, now)]

    def left(self, mark: str) -> Left:
        """See what is different, and set late code aside; `mark` is in its new names.

        What is wrong is told in the summary, never raised.
        """
        self.is_owed = False
        trouble = self._trouble()
        try:
            before = self._before
            after = tree.look(self._root, self._bounds, before.snapshot)
            different = summary.compare(self._root, before.snapshot, after, self._bounds)
            found = self._late(after)
            aside = quarantine.set_aside(self._root, found, before, mark)
        except OSError as error:
            why = f"it cannot be looked at any more: {error.strerror or error}"
            return Left(summary=summary.unseen(trouble or why), aside=[])
        return Left(summary=msgspec.structs.replace(different, trouble=trouble), aside=aside)

    def _late(self, after: Snapshot) -> list[LateCode]:
        """What would run later; of a folder that was looked at in part, searched for by itself."""
        if not after.is_partial:
            return late_code.find(self._root, self._before, after)
        searched = late_search.search(self._root, self._before, after)
        return late_code.find(self._root, self._before, searched.snapshot, searched.crowded)

    def _trouble(self) -> str:
        """What became of the folder itself, if it is not where it was."""
        try:
            found = os.lstat(self.path)
        except OSError:
            pass
        else:
            if (found.st_dev, found.st_ino) == self.identity:
                return self._mode_trouble(stat.S_IMODE(found.st_mode))
        now = os.readlink(f"/proc/self/fd/{self._root}")  # noqa: PTH115 (text, as is told)
        if now.endswith(_DELETED):
            return "it was removed while the run lasted"
        return f"it was moved away while the run lasted, and is at `{now}`"

    def _mode_trouble(self, mode: int) -> str:
        if mode == self._mode:
            return ""
        return f"its mode was {self._mode:o}, and is {mode:o} now"
