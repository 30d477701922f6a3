"""Checkpoints of one log, written one after another; old ones are thinned out."""

import os
from pathlib import Path
from typing import Final, Self, final

from ringfence.domain.error import UsageError
from ringfence.protocols import checkpoint, note
from ringfence.stores.checkpoint.place import open_appendable, replace

MOST: Final = 4096
"""From so many on they are thinned: 1 MB."""
_NEWEST_KEPT: Final = 1024
_KEPT_OF: Final = 64


@final
class NoteFile:
    """Appends checkpoints. The newest covers all events; the older ones help to date a change."""

    def __init__(self, path: Path, descriptor: int, notes: list[bytes]) -> None:
        """Use `open`."""
        self._path = path
        self._descriptor = descriptor
        self._notes = notes

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open for appending. What a power cut left of a last checkpoint is cut off.

        Raises OSError.
        """
        descriptor = open_appendable(path)
        notes = list(note.split(path.read_bytes()))
        while notes and not is_readable(notes[-1]):
            del notes[-1]
        os.ftruncate(descriptor, sum(map(len, notes)))
        return cls(path, descriptor, notes)

    @property
    def notes(self) -> list[bytes]:
        """All there are, the newest last."""
        return self._notes

    def append(self, one: bytes) -> None:
        """Write a checkpoint; durable only after `sync`. Raises OSError."""
        if len(self._notes) >= MOST:
            self._thin()
        if os.write(self._descriptor, one) != len(one):
            os.ftruncate(self._descriptor, sum(map(len, self._notes)))
            raise OSError(None, "only a part could be written")
        self._notes.append(one)

    def sync(self) -> None:
        """Make everything so far survive a power cut. Raises OSError."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _thin(self) -> None:
        notes = thinned(self._notes)
        replace(self._path, b"".join(notes))
        os.close(self._descriptor)
        self._descriptor = open_appendable(self._path)
        self._notes = notes


def thinned(notes: list[bytes]) -> list[bytes]:
    """The newest, few of the older ones, and each that says it covers events late."""
    older, newest = notes[:-_NEWEST_KEPT], notes[-_NEWEST_KEPT:]
    mark = f"\n{checkpoint.RESUMED} ".encode()
    kept = [one for at, one in enumerate(older) if at % _KEPT_OF == 0 or mark in one]
    return kept + newest


def is_readable(one: bytes) -> bool:
    """Whether this is a whole checkpoint, whoever signed it."""
    try:
        checkpoint.parse(note.parse(one).text)
    except UsageError:
        return False
    return True
