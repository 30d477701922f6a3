"""The signed list of all logs, so that one that was deleted is missed.

It is a checkpoint itself, of a log whose leaves are the ids of logs; the ids follow as extension
lines. A later list continues an earlier one.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ringfence.analysis.merkle import Tree, leaf_hash
from ringfence.domain.error import UsageError
from ringfence.protocols import checkpoint, note
from ringfence.protocols.checkpoint import Checkpoint
from ringfence.protocols.note import Note, VerifierKey
from ringfence.protocols.signature import SigningKey, holds
from ringfence.stores.checkpoint.place import directory_lock_path, directory_path, replace
from ringfence.stores.database import make_folder

_LINE: Final = "log "
NAME: Final = "directory"


def read(data: bytes) -> tuple[Note, list[str]]:
    """The list and its ids in the order they were added. Raises UsageError `note_malformed`."""
    one = note.parse(data)
    stated = checkpoint.parse(one.text)
    ids = [line.removeprefix(_LINE) for line in stated.extensions]
    if not all(line.startswith(_LINE) for line in stated.extensions):
        raise note.malformed("a line of the directory names no log")
    if (stated.size, stated.root) != (len(ids), _root(ids)):
        raise note.malformed("the directory's root is not that of its logs")
    return one, ids


def write(ids: Sequence[str], key: SigningKey) -> bytes:
    """Sign a list."""
    origin = f"{key.name}/{NAME}"
    text = checkpoint.render(
        Checkpoint(
            origin=origin,
            size=len(ids),
            root=_root(ids),
            extensions=tuple(f"{_LINE}{log_id}" for log_id in ids),
        )
    )
    return note.render(Note(text=text, signatures=(key.sign(text, origin),)))


def listed(folder: Path) -> list[str]:
    """The ids in the directory of a data folder.

    Raises UsageError `checkpoints_missing` if there is none, `note_malformed`; OSError.
    """
    try:
        data = directory_path(folder).read_bytes()
    except FileNotFoundError as error:
        raise missing(directory_path(folder)) from error
    return read(data)[1]


def begin(folder: Path, key: SigningKey) -> None:
    """Sign an empty directory; for an installation that never had one. Raises OSError."""
    replace(directory_path(folder), write((), key))


def add(folder: Path, log_id: str, key: SigningKey) -> bytes:
    """Sign the directory with one more log, if it is not in there; the directory as it is then.

    Raises as `listed`.
    """
    with _locked(folder):
        ids = listed(folder)
        if log_id not in ids:
            replace(directory_path(folder), write([*ids, log_id], key))
        return directory_path(folder).read_bytes()


def sign_again(folder: Path, known: Sequence[VerifierKey], key: SigningKey) -> None:
    """Let a new key vouch for the directory, if one of the known ones did. Raises OSError."""
    with _locked(folder), suppress(UsageError, FileNotFoundError):
        one, ids = read(directory_path(folder).read_bytes())
        if signed_by(one, f"{key.name}/{NAME}", known):
            replace(directory_path(folder), write(ids, key))


def signed_by(one: Note, name: str, known: Sequence[VerifierKey]) -> bool:
    """Whether a list is of this name and one of these keys signed it."""
    named = [VerifierKey(name=name, public=each.public) for each in known]
    return one.text.startswith(f"{name}\n") and any(holds(one, each) for each in named)


def missing(path: Path) -> UsageError:
    """The error for signed files that were there before."""
    return UsageError(
        "checkpoints_missing",
        f"`{path}` is missing, though it was written before",
        help="`ringfence audit verify` tells more; restore the folder `checkpoints` from a backup",
    )


def _root(ids: Sequence[str]) -> bytes:
    tree = Tree()
    tree.extend(leaf_hash(log_id.encode()) for log_id in ids)
    return tree.root()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    path = directory_lock_path(folder)
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
