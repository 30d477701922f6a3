"""The newest of everything that is signed, for whoever keeps it elsewhere."""

import os
from pathlib import Path
from typing import Final

from ringfence.protocols import note
from ringfence.stores.checkpoint.note_file import is_readable
from ringfence.stores.checkpoint.place import FOLDER, directory_path, keys_path

_TAIL_BYTES: Final = 8192
"""More than the last two checkpoints of a log take."""


def latest_notes(folder: Path) -> dict[str, bytes]:
    """The newest checkpoint of each log by its id; empty ones are left out. Raises OSError."""
    found: dict[str, bytes] = {}
    for path in sorted((folder / FOLDER).glob("*.notes")):
        whole = [one for one in note.split(_tail(path)) if is_readable(one)]
        if whole:
            found[path.stem] = whole[-1]
    return found


def installation_notes(folder: Path) -> dict[str, bytes]:
    """The public keys and the directory, where there are any. Raises OSError."""
    paths = {"keys": keys_path(folder), "directory": directory_path(folder)}
    return {name: path.read_bytes() for name, path in paths.items() if path.exists()}


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        data = file.read()
    if size <= _TAIL_BYTES:
        return data
    # Begin with a whole one: after the first signature line that is in here.
    mark = data.find("\n— ".encode())
    return data[data.find(b"\n", mark + 1) + 1 :] if mark >= 0 else b""
