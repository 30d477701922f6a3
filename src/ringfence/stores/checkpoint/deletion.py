"""What was deleted from a log on purpose: a signed list, so that other gaps are still found."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from ringfence.analysis.span import Span, merged
from ringfence.domain.error import UsageError
from ringfence.protocols import note
from ringfence.protocols.note import Note, VerifierKey
from ringfence.protocols.signature import SigningKey
from ringfence.stores.checkpoint.directory import signed_by
from ringfence.stores.checkpoint.place import deletions_path, deletions_paths, replace

_TEXT: Final = re.compile(r"([^\n]+)/deleted\n((?:[1-9][0-9]*-[1-9][0-9]*\n)*)")


def read(data: bytes) -> tuple[Note, list[Span]]:
    """A list and the spans in it. Raises UsageError `note_malformed`."""
    one = note.parse(data)
    found = _TEXT.fullmatch(one.text)
    if found is None:
        raise note.malformed("a list of deletions is not in its form")
    spans = [Span(*map(int, line.split("-"))) for line in found[2].splitlines()]
    if any(span.first > span.last for span in spans) or spans != merged(spans):
        raise note.malformed("a list of deletions is not in order")
    return one, spans


def write(log_id: str, spans: Sequence[Span], key: SigningKey) -> bytes:
    """Sign a list."""
    name = f"{key.name}/{log_id}/deleted"
    text = f"{name}\n" + "".join(f"{span.first}-{span.last}\n" for span in merged(spans))
    return note.render(Note(text=text, signatures=(key.sign(text, name),)))


def deleted(folder: Path, log_id: str) -> list[Span]:
    """What was deleted from a log so far. Raises UsageError `note_malformed`, OSError."""
    try:
        return read(deletions_path(folder, log_id).read_bytes())[1]
    except FileNotFoundError:
        return []


def add(folder: Path, log_id: str, spans: Iterable[Span], key: SigningKey) -> None:
    """Sign the list with more spans; before they are deleted. Raises as `deleted`."""
    known = deleted(folder, log_id)
    replace(deletions_path(folder, log_id), write(log_id, [*known, *spans], key))


def sign_again(folder: Path, known: Sequence[VerifierKey], key: SigningKey) -> None:
    """Let a new key vouch for every list that one of the known ones did. Raises OSError."""
    for path in deletions_paths(folder):
        with suppress(UsageError):
            one, spans = read(path.read_bytes())
            if signed_by(one, f"{key.name}/{path.stem}/deleted", known):
                replace(path, write(path.stem, spans, key))
