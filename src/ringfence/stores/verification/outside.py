"""What a verifier knows from elsewhere: the key it trusts, and checkpoints it kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ringfence.domain.error import UsageError
from ringfence.protocols import checkpoint, note
from ringfence.protocols.checkpoint import Checkpoint
from ringfence.protocols.note import Note, VerifierKey

_MOST_CHECKPOINTS: Final = 1_000
"""Of one log; of more, the newest are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A checkpoint that somebody kept, with its signatures."""

    note: Note
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """`kept` holds checkpoints and directories of any log."""

    key: VerifierKey | None = None
    kept: Sequence[Kept] = field(default_factory=tuple)

    def of(self, origin: str) -> list[Kept]:
        """Those of one log, the newest last."""
        found = [one for one in self.kept if one.checkpoint.origin == origin]
        return sorted(found, key=lambda one: one.checkpoint.size)[-_MOST_CHECKPOINTS:]


def read_key(text: str) -> VerifierKey:
    """A key, or the path of a file that holds one.

    Raises UsageError `key_malformed` or `not_readable`.
    """
    path = Path(text)
    try:
        is_file = path.is_file()
    except OSError:
        is_file = False
    return note.parse_key(_read(path).decode("utf-8", "replace") if is_file else text)


def read_kept(path: Path) -> list[Kept]:
    """The checkpoints in a file, which other notes may stand between.

    Raises UsageError `note_malformed` if there is none or one is damaged, `not_readable`.
    """
    kept: list[Kept] = []
    for data in note.split(_read(path)):
        one = note.parse(data)
        try:
            stated = checkpoint.parse(one.text)
        except UsageError:
            if "/key\n" in one.text:
                continue  # a witness keeps the statements of keys, too
            raise
        kept.append(Kept(note=one, checkpoint=stated))
    if not kept:
        raise note.malformed(f"`{path}` holds no checkpoint")
    return kept


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError("not_readable", f"cannot read `{path}`: {error.strerror}") from error
