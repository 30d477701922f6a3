"""The installation's signing key: a file for its owner alone, outside every database."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.protocols import key_chain, note
from ringfence.protocols.key_chain import Statement
from ringfence.protocols.signature import SigningKey
from ringfence.stores.checkpoint import deletion, directory
from ringfence.stores.checkpoint.place import keys_path, replace

_SEED_BYTES: Final = 32
_NAME_BYTES: Final = 8
_OTHERS: Final = 0o077


def default_key_path(folder: Path) -> Path:
    """Where the secret stands unless the operator names another place."""
    return folder / "keys" / "signing.key"


@final
class SigningKeys:
    """The present signing key, read again when its file changes, and all public keys so far.

    A key is changed by replacing its file, so every process that signs notices by itself.
    """

    def __init__(self, folder: Path, path: Path | None = None) -> None:
        """Take the data folder, and where the secret stands if not there."""
        self.folder = folder
        self.path = path or default_key_path(folder)
        self._seen: tuple[int, int, int] | None = None
        self._key: SigningKey | None = None

    def ensure(self, now_us: int) -> bool:
        """Make a key if this installation never had one; whether it was made now.

        Raises UsageError `signing_key_missing` if it had one and its secret is gone, and as
        `current`.
        """
        with _translated(self.path):
            if keys_path(self.folder).exists():
                self.current()
                return False
            if not self.path.exists():
                name = f"ringfence-{os.urandom(_NAME_BYTES).hex()}"
                key = SigningKey(name, os.urandom(_SEED_BYTES))
                replace(self.path, key.render().encode())
            replace(keys_path(self.folder), key_chain.state(self.current(), now_us))
            return True

    def current(self) -> SigningKey:
        """The key to sign with now.

        Raises UsageError `signing_key_missing`, `signing_key_exposed` or `signing_key_malformed`,
        UnavailableError.
        """
        with _translated(self.path):
            try:
                found = self.path.stat()
            except FileNotFoundError as error:
                raise _missing(self.path) from error
            seen = (found.st_ino, found.st_ctime_ns, found.st_size)
            if self._key is None or seen != self._seen:
                if found.st_mode & _OTHERS:
                    raise _exposed(self.path)
                self._key = SigningKey.parse(self.path.read_text(encoding="ascii"))
                self._seen = seen
            return self._key

    def statements(self) -> list[Statement]:
        """All public keys so far. Raises UsageError `key_chain_broken`, UnavailableError."""
        with _translated(keys_path(self.folder)):
            return key_chain.read(keys_path(self.folder).read_bytes())

    def rotate(self, now_us: int) -> SigningKey:
        """Sign with a fresh key from now on; the old one vouches for it and is deleted.

        INVARIANT: the statement is on disk before the secret, so that no checkpoint is ever signed
        by a key that nobody vouches for. After a crash between the two the old key goes on, and
        the next rotation begins again from it. The lists that stand for themselves are signed
        again in between: whoever has the old secret can write no more of them.
        """
        with _translated(keys_path(self.folder)):
            old = self.current()
            told: list[bytes] = []
            for statement in self.statements():
                told.append(note.render(statement.note))
                if statement.key.public == old.public:
                    break
            new = SigningKey(old.name, os.urandom(_SEED_BYTES))
            told.append(key_chain.state(new, now_us, old))
            known = [one.key for one in self.statements()]
            replace(keys_path(self.folder), b"".join(told))
            directory.sign_again(self.folder, known, new)
            deletion.sign_again(self.folder, known, new)
            replace(self.path, new.render().encode())
            return self.current()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            "store_unavailable", f"`{path}` cannot be used: {error.strerror}"
        ) from error


def _missing(path: Path) -> UsageError:
    return UsageError(
        "signing_key_missing",
        f"there is no signing key `{path}`, though this installation has signed with one",
        help="restore it from a backup, or name it with --signing-key",
    )


def _exposed(path: Path) -> UsageError:
    return UsageError(
        "signing_key_exposed",
        f"others can read the signing key `{path}`",
        help=f"`chmod 600 {path}`, and `ringfence audit rotate-key` if somebody may have read it",
    )
