"""One value, encrypted with a key of its own, which is encrypted with another (AES-256-GCM)."""

import os
from collections.abc import Mapping
from typing import Final, final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ringfence.domain.error import UsageError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_FORMAT: Final = b"\x01"
_PURPOSE: Final = b"ringfence secret 1"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Whose value it is and what it is called. Bound to what is encrypted: nothing can be moved.

    `space` keeps apart what different parts of a plane store; `meta` is not secret and cannot be
    changed without the key.
    """

    organisation: str
    space: str
    name: str
    meta: Mapping[str, str] = {}

    def bound(self, part: bytes) -> bytes:
        """What is authenticated beside a ciphertext; every part has its length before it."""
        meta = msgspec.json.encode(self.meta, order="sorted")
        texts = (self.organisation.encode(), self.space.encode(), self.name.encode(), meta)
        parts = (_PURPOSE, part, *texts)
        return b"".join(len(each).to_bytes(4, "big") + each for each in parts)


@final
class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed value and its key, sealed with the key whose id it names."""

    key_id: str
    wrapped: bytes
    sealed: bytes


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key that encrypts keys. INVARIANT (I5): no repr shows it."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        """Its id alone."""
        return f"Key({self.id})"


def seal(value: bytes, address: Address, key: Key) -> Envelope:
    """Encrypt a value with a fresh key, and that with `key`."""
    data_key = os.urandom(KEY_BYTES)
    return Envelope(
        key_id=key.id,
        wrapped=_encrypt(key.secret, data_key, address.bound(b"key")),
        sealed=_encrypt(data_key, value, address.bound(b"value")),
    )


def unseal(envelope: Envelope, address: Address, key: Key) -> bytes:
    """The value. Raises UsageError `secret_unreadable` if anything of it was changed or moved."""
    data_key = _decrypt(key.secret, envelope.wrapped, address, b"key")
    return _decrypt(data_key, envelope.sealed, address, b"value")


def rewrap(envelope: Envelope, address: Address, old: Key, new: Key) -> Envelope:
    """The same value under another key. Raises UsageError `secret_unreadable`."""
    data_key = _decrypt(old.secret, envelope.wrapped, address, b"key")
    return Envelope(
        key_id=new.id,
        wrapped=_encrypt(new.secret, data_key, address.bound(b"key")),
        sealed=envelope.sealed,
    )


def _encrypt(key: bytes, plain: bytes, bound: bytes) -> bytes:
    # Random nonces: a data key encrypts once, a wrapping key far fewer than 2^32 times (NIST SP
    # 800-38D section 8.3).
    nonce = os.urandom(_NONCE_BYTES)
    return _FORMAT + nonce + AESGCM(key).encrypt(nonce, plain, bound)


def _decrypt(key: bytes, sealed: bytes, address: Address, part: bytes) -> bytes:
    nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    if sealed[:1] != _FORMAT:
        raise _unreadable(address)
    try:
        return AESGCM(key).decrypt(nonce, rest, address.bound(part))
    except (InvalidTag, ValueError):
        raise _unreadable(address) from None


def _unreadable(address: Address) -> UsageError:
    return UsageError(
        "secret_unreadable",
        f"the stored secret `{address.name}` was changed or does not belong here",
        help="set it again with `ringfence secret set`",
    )
