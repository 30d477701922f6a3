"""Seals what a client carries for us: it can neither read nor change it, nor lend it to others.

AES-256-GCM (NIST SP 800-38D). What a seal is for (a cursor, a state) and whose it is are bound as
associated data, so that one agent's seal opens for nobody else.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_LONGEST: Final = 64 * 1024
_MARK: Final = "rf1."


@final
class Sealer:
    """One key; shared by all workers of a plane."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        """`key` is 256 random bits."""
        self._cipher = AESGCM(key)

    def seal(self, content: bytes, bound_to: bytes, expires_us: int, nonce: bytes) -> str:
        """Seal `content` for `bound_to` until then. `nonce` is random and used once."""
        plain = b"%d\n" % expires_us + content
        sealed = nonce + self._cipher.encrypt(nonce, plain, bound_to)
        return _MARK + urlsafe_b64encode(sealed).decode()

    def open(self, sealed: str, bound_to: bytes, now_us: int) -> bytes | None:
        """What was sealed; None for what is not ours, not for them, changed or too old."""
        if not sealed.startswith(_MARK) or len(sealed) > _LONGEST:
            return None
        try:
            raw = urlsafe_b64decode(sealed[len(_MARK) :].encode("ascii"))
            plain = self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            return None
        expires, _, content = plain.partition(b"\n")
        return content if now_us < int(expires) else None

    @staticmethod
    def is_ours(text: str) -> bool:
        """Whether a text has the form of a seal."""
        return text.startswith(_MARK)
