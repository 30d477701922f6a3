"""Empty folders in the place of what is protected and not there, for a run to find and not fill.

A folder whatever is meant, `.mcp.json` too: git commits no empty folder, removing one loses
nothing, and no program takes it for settings. Mounted read-only over itself it can be neither
written to nor moved. It is made on the host before the sandbox is, so that nothing has to make a
mount point in what an agent can change.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

from ringfence.domain.error import UsageError
from ringfence.sandbox.workspace.folder import reached


def lacking(root: int, paths: Iterable[str]) -> tuple[str, ...]:
    """Which of these are not there, below an open folder, though what they would lie in is."""
    return tuple(path for path in paths if _is_lacking(root, os.fsencode(path)))


def make(root: int, paths: Iterable[str]) -> None:
    """Make a folder at each; what has come there meanwhile stays. Raises UsageError."""
    for path in paths:
        folder, _, name = os.fsencode(path).rpartition(b"/")
        try:
            with reached(root, folder) as at, suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=at)
        except OSError as error:
            what = f"`{path}` of the workspace cannot be masked: {(error.strerror or '').lower()}"
            help_ = "change its owner, or leave `protected: mask` of the agent out"
            raise UsageError("bad_workspace", what, help=help_) from error


def remove(root: int, paths: Sequence[str]) -> None:
    """Remove each that is still empty; what somebody has put there stays."""
    for path in reversed(paths):
        folder, _, name = os.fsencode(path).rpartition(b"/")
        with suppress(OSError), reached(root, folder) as at:
            os.rmdir(name, dir_fd=at)


def _is_lacking(root: int, path: bytes) -> bool:
    folder, _, name = path.rpartition(b"/")
    try:
        with reached(root, folder) as at:
            os.lstat(name, dir_fd=at)
    except FileNotFoundError:
        return _is_there(root, folder)
    except OSError:
        return False
    return False


def _is_there(root: int, folder: bytes) -> bool:
    try:
        with reached(root, folder):
            return True
    except OSError:
        return False
