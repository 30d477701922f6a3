"""Signed notes: a text and the signatures under it, exactly as C2SP signed-note writes them."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ringfence.domain.error import UsageError

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
"""A witness's signature with the time of it (C2SP tlog-cosignature)."""

LONGEST_BYTES: Final = 1_000_000
"""Far more than a checkpoint needs, and little enough to hold; a bound is asked for."""

_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32
_MOST_SIGNATURES: Final = 64
_MARK: Final = "— "
_NAME: Final = re.compile(r"[^\s+]+")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One line under a note: who signed, with which key, and what came of it."""

    name: str
    key_id: bytes
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """`text` ends in a line feed and is what is signed."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key and the name it signs under; `kind` is the type of its signatures."""

    name: str
    public: bytes
    kind: int = ED25519

    @property
    def id(self) -> bytes:
        """The four bytes that stand before its signatures."""
        preimage = self.name.encode() + b"\n" + bytes((self.kind,)) + self.public
        return hashlib.sha256(preimage).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """The key as people pass it on: name, id and key."""
        return f"{self.name}+{self.id.hex()}+{encode64(bytes((self.kind,)) + self.public)}"


def parse_key(text: str) -> VerifierKey:
    """Read a key as `VerifierKey` writes it. Raises UsageError `key_malformed`."""
    parts = text.strip().split("+", 2)
    try:
        name, key_id, encoded = parts
        data = decode64(encoded)
    except ValueError as error:
        raise _no_key(text) from error
    key = VerifierKey(name=name, public=data[1:], kind=data[0] if data else 0)
    is_known = key.kind in {ED25519, COSIGNATURE} and len(key.public) == _KEY_BYTES
    if not (is_known and _NAME.fullmatch(name) and key_id == key.id.hex()):
        raise _no_key(text)
    return key


def parse(data: bytes) -> Note:
    """Read one note, to its last byte. Raises UsageError `note_malformed`."""
    if len(data) > LONGEST_BYTES:
        raise malformed("it is too long")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed("it is not UTF-8") from error
    text, gap, lines = whole.rpartition("\n\n")
    if not gap or not text or not lines.endswith("\n"):
        raise malformed("it has no signature")
    if _CONTROL.search(whole):
        raise malformed("it has a control character")
    signatures = tuple(_read_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > _MOST_SIGNATURES:
        raise malformed("it has too many signatures")
    return Note(text=f"{text}\n", signatures=signatures)


def render(note: Note) -> bytes:
    """Write a note. Raises UsageError `note_malformed` if it would not be read as the same."""
    lines = "".join(
        f"{_MARK}{each.name} {encode64(each.key_id + each.data)}\n" for each in note.signatures
    )
    data = f"{note.text}\n{lines}".encode()
    if parse(data) != note:
        raise malformed("its text does not end in one line feed")
    return data


def split(data: bytes) -> Iterator[bytes]:
    """Cut notes that were written one after another.

    No text may have an empty line. What does not end like a note is given as it is, for `parse`
    to refuse.
    """
    at = 0
    while at < len(data):
        gap = data.find(b"\n\n", at)
        end = gap + 2 if gap >= 0 else len(data)
        while data.startswith(_MARK.encode(), end):
            line_end = data.find(b"\n", end)
            end = line_end + 1 if line_end >= 0 else len(data)
        yield data[at:end]
        at = end


def encode64(data: bytes) -> str:
    """Standard Base 64 (RFC 4648 section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode64(text: str) -> bytes:
    """The one way to write these bytes, and no other. Raises ValueError."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("it is not Base 64") from error
    if encode64(data) != text:
        raise ValueError("it is not written in the one canonical way")
    return data


def malformed(why: str) -> UsageError:
    """The error for what is no note of ours."""
    return UsageError("note_malformed", f"a signed note cannot be read: {why}")


def _read_signature(line: str) -> Signature:
    name, gap, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not gap or not _NAME.fullmatch(name):
        raise malformed("a line under it is no signature")
    try:
        data = decode64(encoded)
    except ValueError as error:
        raise malformed(f"a signature: {error}") from error
    if len(data) <= _ID_BYTES:
        raise malformed("a signature is too short")
    return Signature(name=name, key_id=data[:_ID_BYTES], data=data[_ID_BYTES:])


def _no_key(text: str) -> UsageError:
    return UsageError(
        "key_malformed",
        f"`{text[:200]}` is no public key",
        help="give the line that `ringfence up` prints: name+id+key",
    )
