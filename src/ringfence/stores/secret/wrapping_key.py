"""The keys that encrypt the keys of stored secrets: outside the database, for their owner alone."""

import hashlib
import os
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.checkpoint.place import replace
from ringfence.stores.secret.envelope import KEY_BYTES, Key

VARIABLE: Final = "RINGFENCE_SECRET_KEY"
_OTHERS: Final = 0o077
_ID_CHARACTERS: Final = 16
_STANDARD: Final = str.maketrans("-_", "+/")
_HELP: Final = (
    f"restore the file from a backup, or give every plane the same keys in {VARIABLE}"
    " (base64url, 32 bytes each, separated by commas; the first one encrypts)"
)


def default_path(folder: Path) -> Path:
    """Where the keys stand unless the environment gives them."""
    return folder / "keys" / "secret.key"


@final
class WrappingKeys:
    """The present key and those before it that something may still be encrypted with.

    They come from a variable of the environment, or from a file of the data folder, one on each
    line; the first encrypts. INVARIANT (I5): neither repr nor an error shows one.
    """

    def __init__(self, path: Path, given: str = "") -> None:
        """Take where the file is or would be, and what the variable holds if it is set."""
        self.path = path
        self._given = tuple(_read(part) for part in given.split(",")) if given else ()

    @property
    def is_given(self) -> bool:
        """Whether the environment gives them, so that the plane cannot change them."""
        return bool(self._given)

    def count(self) -> int:
        """How many there are. Raises as `current`."""
        return len(self._all())

    def current(self, *, may_make: bool) -> Key:
        """The key that encrypts; made on first use, unless something was encrypted before.

        Raises UsageError `secret_key_missing`, `secret_key_exposed` or `secret_key_malformed`,
        UnavailableError.
        """
        keys = self._all()
        if keys:
            return keys[0]
        if not may_make:
            raise missing(self.path)
        return self._add(())

    def find(self, key_id: str) -> Key:
        """The key with that id. Raises UsageError `secret_key_missing` and as `current`."""
        for key in self._all():
            if key.id == key_id:
                return key
        raise missing(self.path)

    def renew(self) -> Key:
        """Encrypt with a fresh key from now on and keep the others; the first one if given."""
        if self._given:
            return self._given[0]
        return self._add(self._all())

    def forget_others(self) -> None:
        """Keep the present key alone, when nothing is encrypted with another any more."""
        if not self._given:
            with _translated(self.path):
                replace(self.path, _rendered(self._all()[:1]))

    def _add(self, known: Sequence[Key]) -> Key:
        secret = os.urandom(KEY_BYTES)
        key = Key(id=_id(secret), secret=secret)
        with _translated(self.path):
            for left in self.path.parent.glob(f".{self.path.name}.*.new"):
                left.unlink(missing_ok=True)  # of somebody who was killed while writing
            replace(self.path, _rendered((key, *known)))
        return key

    def _all(self) -> tuple[Key, ...]:
        if self._given:
            return self._given
        with _translated(self.path):
            try:
                mode = self.path.stat().st_mode
            except FileNotFoundError:
                return ()
            if mode & _OTHERS:
                raise _exposed(self.path)
            lines = self.path.read_text(encoding="ascii").splitlines()
            return tuple(_read(line) for line in lines)

    def __repr__(self) -> str:
        """Where they come from."""
        return f"WrappingKeys({VARIABLE if self._given else self.path})"


def _rendered(keys: Sequence[Key]) -> bytes:
    return b"".join(urlsafe_b64encode(key.secret) + b"\n" for key in keys)


def _read(text: str) -> Key:
    try:
        plain = text.strip().rstrip("=").translate(_STANDARD) + "="
        secret = b64decode(plain, validate=True)
    except (Base64Error, ValueError):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise UsageError(
            "secret_key_malformed",
            "a key of the secret store is not 32 bytes in base64url",
            help=_HELP,
        )
    return Key(id=_id(secret), secret=secret)


def _id(secret: bytes) -> str:
    return hashlib.sha256(b"ringfence secret key" + secret).hexdigest()[:_ID_CHARACTERS]


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UnavailableError("store_unavailable", f"`{path}` cannot be used: {why}") from error


def missing(path: Path) -> UsageError:
    """Something is encrypted with a key that is not here."""
    return UsageError(
        "secret_key_missing",
        f"there is no key in `{path}` for secrets that are stored",
        help=_HELP,
    )


def _exposed(path: Path) -> UsageError:
    return UsageError(
        "secret_key_exposed",
        f"others can read the key of the secret store `{path}`",
        help=f"`chmod 600 {path}`, then `ringfence secret rotate --key` if one may have read it",
    )
