"""Checkpoints: the size and root of a log at one moment, as C2SP tlog-checkpoint writes them."""

import re
from dataclasses import dataclass
from typing import Final

from ringfence.protocols.note import decode64, encode64, malformed

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_LINE: Final = re.compile(r"[^\x00-\x1f]+")
_HEAD_LINES: Final = 3
_HASH_BYTES: Final = 32

RESUMED: Final = "resumed"
"""The extension of a checkpoint that covers events which no checkpoint covered in their time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a log's signer vouches for: these many leaves, under this root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """Events after `size` were covered only at `time_us` (UTC microseconds)."""

    size: int
    time_us: int


def parse(text: str) -> Checkpoint:
    """Read a note's text. Raises UsageError `note_malformed`."""
    if not text.endswith("\n"):
        raise malformed("its text does not end in a line feed")
    lines = text[:-1].split("\n")
    if len(lines) < _HEAD_LINES or not all(map(_LINE.fullmatch, lines)):
        raise malformed("a checkpoint has at least three lines, and none is empty")
    origin, size, root, *extensions = lines
    if not _NUMBER.fullmatch(size):
        raise malformed("the tree's size is no number")
    try:
        digest = decode64(root)
    except ValueError as error:
        raise malformed(f"the root: {error}") from error
    if len(digest) != _HASH_BYTES:
        raise malformed("the root has not 32 bytes")
    return Checkpoint(origin=origin, size=int(size), root=digest, extensions=tuple(extensions))


def render(checkpoint: Checkpoint) -> str:
    """Write the text to sign. Raises UsageError `note_malformed` if it would read otherwise."""
    lines = (
        checkpoint.origin,
        str(checkpoint.size),
        encode64(checkpoint.root),
        *checkpoint.extensions,
    )
    text = "".join(f"{line}\n" for line in lines)
    if parse(text) != checkpoint:
        raise malformed("it has a line that is two")
    return text


def resumed(resumption: Resumption) -> str:
    """The extension line that says so."""
    return f"{RESUMED} {resumption.size} {resumption.time_us}"


def resumption(checkpoint: Checkpoint) -> Resumption | None:
    """What a checkpoint says of itself; None for one that was signed in time."""
    for line in checkpoint.extensions:
        word, *numbers = line.split(" ")
        if word == RESUMED and len(numbers) == 2 and all(map(_NUMBER.fullmatch, numbers)):  # noqa: PLR2004 (size and time)
            return Resumption(size=int(numbers[0]), time_us=int(numbers[1]))
    return None
