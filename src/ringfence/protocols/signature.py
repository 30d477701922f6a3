"""Ed25519 over notes: sign them, and find out whose signatures hold."""

import importlib
import re
from collections.abc import Iterable
from typing import Any, Final, Self, final

from ringfence.domain.error import UsageError
from ringfence.protocols.note import (
    COSIGNATURE,
    ED25519,
    Note,
    Signature,
    VerifierKey,
    decode64,
    encode64,
)

_SEED_BYTES: Final = 32
_TIME_BYTES: Final = 8
_PREFIX: Final = "PRIVATE+KEY+"
_NAME: Final = re.compile(r"[^\s+]+")


@final
class SigningKey:
    """A private key and the name of the installation that it signs for.

    INVARIANT: `repr` and every error leave the secret out.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        """Take 32 random bytes (RFC 8032). Raises ValueError for a name that no note can hold."""
        if len(seed) != _SEED_BYTES or not _NAME.fullmatch(name):
            raise ValueError("a signing key is a name without spaces or plus, and 32 bytes")
        self.name = name
        self._seed = seed
        self._private = _ed25519().Ed25519PrivateKey.from_private_bytes(seed)
        self.public: bytes = self._private.public_key().public_bytes_raw()
        self._ids: dict[str, bytes] = {}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `render` wrote. Raises UsageError `signing_key_malformed`."""
        try:
            name, key_id, encoded = text.strip().removeprefix(_PREFIX).split("+", 2)
            data = decode64(encoded)
            key = cls(name, data[1:])
        except ValueError as error:
            raise _no_key() from error
        if not text.startswith(_PREFIX) or data[0] != ED25519 or key_id != key.verifier().id.hex():
            raise _no_key()
        return key

    def render(self) -> str:
        """The secret, as it stands in its file: the form that Go's note package has."""
        encoded = encode64(bytes((ED25519,)) + self._seed)
        return f"{_PREFIX}{self.name}+{self.verifier().id.hex()}+{encoded}\n"

    def verifier(self, name: str | None = None) -> VerifierKey:
        """The public half, under the installation's name or another that it signs as."""
        return VerifierKey(name=name or self.name, public=self.public)

    def sign(self, text: str, name: str) -> Signature:
        """Sign a note's text under a name, which for a checkpoint is its origin."""
        key_id = self._ids.get(name)
        if key_id is None:
            key_id = self._ids[name] = self.verifier(name).id
        data: bytes = self._private.sign(text.encode())
        return Signature(name=name, key_id=key_id, data=data)

    def __repr__(self) -> str:
        """The name alone."""
        return f"SigningKey({self.name})"


def holds(note: Note, key: VerifierKey) -> bool:
    """Whether a key's signature stands under a note and is good. One bad one spoils it."""
    signatures = [one for one in note.signatures if (one.name, one.key_id) == (key.name, key.id)]
    return bool(signatures) and all(_is_good(note.text, one.data, key) for one in signatures)


def cosigned_at(note: Note, witnesses: Iterable[VerifierKey]) -> dict[str, int]:
    """Which of these witnesses have signed a checkpoint, and when (POSIX seconds)."""
    times: dict[str, int] = {}
    for key in witnesses:
        for one in note.signatures:
            if (one.name, one.key_id) == (key.name, key.id) and key.kind == COSIGNATURE:
                if not _is_good(note.text, one.data, key):
                    break
                times[key.name] = int.from_bytes(one.data[:_TIME_BYTES], "big")
    return times


def cosigned_text(text: str, time_s: int) -> str:
    """What a witness signs: the checkpoint under the time it was seen."""
    return f"cosignature/v1\ntime {time_s}\n{text}"


def _is_good(text: str, data: bytes, key: VerifierKey) -> bool:
    if key.kind == COSIGNATURE:
        time_s, data = int.from_bytes(data[:_TIME_BYTES], "big"), data[_TIME_BYTES:]
        text = cosigned_text(text, time_s)
    module = _ed25519()
    try:
        module.Ed25519PublicKey.from_public_bytes(key.public).verify(data, text.encode())
    except (_invalid_signature(), ValueError):
        return False
    return True


def _ed25519() -> Any:  # noqa: ANN401 (a module)
    # 15 ms to import: only who signs or verifies pays for it.
    return importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")


def _invalid_signature() -> type[Exception]:
    kind: type[Exception] = importlib.import_module("cryptography.exceptions").InvalidSignature
    return kind


def _no_key() -> UsageError:
    return UsageError(
        "signing_key_malformed",
        "the signing key cannot be read",
        help="restore its file from a backup; it begins with PRIVATE+KEY",
    )
