"""What a verifier knows from elsewhere: the key it trusts, and checkpoints it kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ringfence.analysis.verification import Fault, Finding
from ringfence.domain.error import UsageError
from ringfence.protocols import checkpoint, note
from ringfence.protocols.checkpoint import Checkpoint
from ringfence.protocols.note import Note, VerifierKey
from ringfence.protocols.signature import cosigned_at

_MOST_CHECKPOINTS: Final = 1_000
"""Of one log; of more, the newest are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A checkpoint that somebody kept, with its signatures."""

    note: Note
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """`kept` holds checkpoints and directories of any log.

    Where `witnesses` are named, only checkpoints that each of them has signed count.
    """

    key: VerifierKey | None = None
    kept: Sequence[Kept] = field(default_factory=tuple)
    witnesses: tuple[VerifierKey, ...] = ()

    def of(self, origin: str) -> list[Kept]:
        """Those of one log that count, the newest last."""
        return [one for one in self.stated(origin) if self.is_witnessed(one.note)]

    def stated(self, origin: str) -> list[Kept]:
        """All of one origin, the newest last."""
        found = [one for one in self.kept if one.checkpoint.origin == origin]
        return sorted(found, key=lambda one: one.checkpoint.size)[-_MOST_CHECKPOINTS:]

    def is_witnessed(self, one: Note) -> bool:
        """Whether every witness that is demanded has signed it (C2SP tlog-cosignature)."""
        return not self.witnesses or cosigned_at(one, self.witnesses).keys() == {
            each.name for each in self.witnesses
        }

    def unwitnessed(self, origin: str, log: str) -> Iterator[Finding]:
        """What is wrong if no checkpoint of a log from outside was seen by them all."""
        if self.witnesses and not self.of(origin):
            names = " and ".join(f"`{each.name}`" for each in self.witnesses)
            text = f"no checkpoint of it in --since was signed by {names}"
            yield Finding(fault=Fault.UNWITNESSED, log=log, text=text)


def read_witness(text: str) -> VerifierKey:
    """The key of a witness, as `read_key` reads it. Raises also UsageError `key_malformed`."""
    key = read_key(text)
    if key.kind != note.COSIGNATURE:
        raise UsageError(
            "key_malformed",
            f"`{key.name}` is no key of a witness",
            help="a witness signs with the time: its key has the signature type 04",
        )
    return key


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
