"""One log's tree and its checkpoints: taken up again, grown, signed."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self, final

import msgspec

from ringfence.analysis.merkle import Tree, leaf_hash
from ringfence.domain.error import UsageError
from ringfence.protocols import checkpoint, note
from ringfence.protocols.checkpoint import Checkpoint, Resumption, resumed
from ringfence.protocols.note import Note
from ringfence.protocols.signature import SigningKey, holds
from ringfence.stores.checkpoint import directory
from ringfence.stores.checkpoint.key import SigningKeys
from ringfence.stores.checkpoint.leaf_file import LeafFile
from ringfence.stores.checkpoint.note_file import NoteFile
from ringfence.stores.checkpoint.place import hashes_path, notes_path, replace, tree_path
from ringfence.stores.database import translated


class Leaves(NamedTuple):
    """Leaves as they stand in the log, the first one's sequence before them."""

    first: int
    leaves: Sequence[bytes]


ReadLeaves = Callable[[int], Iterator[Leaves]]
"""Gives the durable leaves of a log in order, from the group that holds a sequence on."""


class Hint(msgspec.Struct, frozen=True):
    """A frontier that is worth nothing until its root is a signed one."""

    size: int
    frontier: list[bytes]


@final
class Attestation:
    """Vouches for one log; for one thread.

    INVARIANT: the tree is never taken from the log alone below the last checkpoint: it goes on from
    hashes whose root was signed, so that a log that was altered meanwhile is never vouched for.
    """

    def __init__(self, keys: SigningKeys, log_id: str, read: ReadLeaves) -> None:
        """Use `open`."""
        self._keys = keys
        self._log_id = log_id
        self._read = read
        self._tree = Tree()
        self._signed = 0
        self._signer: SigningKey | None = None
        """Who signed the newest checkpoint, as far as is known."""
        self._files = contextlib.ExitStack()
        folder = keys.folder
        self._notes = NoteFile.open(notes_path(folder, log_id))
        self._files.callback(self._notes.close)
        self._hashes = LeafFile.open(hashes_path(folder, log_id))
        self._files.callback(self._hashes.close)

    @classmethod
    def open(cls, keys: SigningKeys, log_id: str, read: ReadLeaves, now_us: int) -> Self:
        """Take a log up: check what was signed last, cover what came after it, list the log.

        Raises UsageError `ledger_disagrees` if the log is not the one that was signed,
        `checkpoints_missing` or `checkpoint_invalid`, and those of `SigningKeys`;
        UnavailableError.
        """
        with translated(notes_path(keys.folder, log_id), "checkpoint file"):
            if keys.ensure(now_us):
                directory.begin(keys.folder, keys.current())
            is_listed = log_id in directory.listed(keys.folder)
            attestation = cls(keys, log_id, read)
            try:
                attestation._take_up(is_listed=is_listed)
                attestation.catch_up(now_us)
                attestation.sync()
                if not is_listed:
                    directory.add(keys.folder, log_id, keys.current())
            except BaseException:
                attestation.close()
                raise
            return attestation

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._tree.size

    @property
    def is_signed(self) -> bool:
        """Whether the newest checkpoint covers the whole tree and has the present key's signature.

        Raises as `SigningKeys.current`.
        """
        is_covered = self._signed == self._tree.size and bool(self._notes.notes)
        return is_covered and self._keys.current() is self._signer

    @property
    def latest(self) -> bytes:
        """The newest checkpoint; empty before the first."""
        return self._notes.notes[-1] if self._notes.notes else b""

    def add(self, group: Leaves) -> bool:
        """Grow by the next leaves; false if others should have come before. Raises OSError."""
        if group.first != self._tree.size + 1:
            return False
        hashes = list(map(leaf_hash, group.leaves))
        self._hashes.append(b"".join(hashes))
        self._tree.extend(hashes)
        return True

    def sign(self, late: Resumption | None = None) -> bytes:
        """Vouch for the tree as it is. Raises UsageError as `SigningKeys.current`, OSError."""
        key = self._keys.current()
        origin = f"{key.name}/{self._log_id}"
        text = checkpoint.render(
            Checkpoint(
                origin=origin,
                size=self._tree.size,
                root=self._tree.root(),
                extensions=() if late is None else (resumed(late),),
            )
        )
        signed = note.render(Note(text=text, signatures=(key.sign(text, origin),)))
        self._notes.append(signed)
        self._signed, self._signer = self._tree.size, key
        return signed

    def catch_up(self, now_us: int) -> None:
        """Cover what the log holds beyond the tree, and say that it was covered late.

        Raises UsageError `ledger_disagrees`, OSError.
        """
        self._check_last()
        before = self._signed
        for group in self._read(self._tree.size + 1):
            skipped = self._tree.size + 1 - group.first
            rest = Leaves(group.first + skipped, group.leaves[skipped:])
            if skipped < 0 or (rest.leaves and not self.add(rest)):
                raise self._disagrees(f"event {self._tree.size + 1} is missing")
        if self._tree.size > before:
            self.sign(Resumption(size=before, time_us=now_us))
        elif not self._notes.notes or not self._is_of_current_key(self._notes.notes[-1]):
            self.sign()
        else:
            self._signer = self._keys.current()

    def sync(self) -> None:
        """Make everything survive a power cut, and a start from here quick. Raises OSError.

        INVARIANT: a frontier is kept only once its checkpoint is on disk, so that one that is ahead
        of all checkpoints tells that some were removed.
        """
        self._hashes.sync()
        self._notes.sync()
        if not self.is_signed:
            return
        hint = Hint(self._tree.size, list(self._tree.frontier))
        path = tree_path(self._keys.folder, self._log_id)
        replace(path, msgspec.json.encode(hint), is_synced=False)

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _take_up(self, *, is_listed: bool) -> None:
        """The tree of the last checkpoint, from the hashes that were kept beside it."""
        if not self._notes.notes and is_listed:
            raise directory.missing(notes_path(self._keys.folder, self._log_id))
        if not self._notes.notes:
            self._hashes.truncate(0)
            return
        signed = self._checked(self._notes.notes[-1])
        hint = read_hint(tree_path(self._keys.folder, self._log_id))
        if hint is not None and hint.size > signed.size:
            raise directory.missing(notes_path(self._keys.folder, self._log_id))
        is_whole = self._hashes.size >= signed.size
        tree = (self._from_hint(hint) if is_whole else None) or Tree()
        tree.extend(self._hashes.hashes(tree.size, signed.size))
        if (tree.size, tree.root()) != (signed.size, signed.root):
            tree = self._from_log(signed.size)
        if (tree.size, tree.root()) != (signed.size, signed.root):
            raise self._disagrees(f"its first {signed.size} events are not those that were signed")
        self._hashes.truncate(signed.size)
        self._tree, self._signed = tree, signed.size

    def _checked(self, last: bytes) -> Checkpoint:
        one = note.parse(last)
        signed = checkpoint.parse(one.text)
        key = self._keys.current()
        origin = f"{key.name}/{self._log_id}"
        keys = [statement.key for statement in self._keys.statements()]
        named = [note.VerifierKey(name=origin, public=each.public) for each in keys]
        if signed.origin != origin or not any(holds(one, each) for each in named):
            raise UsageError(
                "checkpoint_invalid",
                f"the last checkpoint of log `{self._log_id}` was not signed by this installation",
                help="`ringfence audit verify` tells more; restore from a backup",
            )
        return signed

    def _is_of_current_key(self, last: bytes) -> bool:
        """A new key vouches anew for what an older one did, so that it alone can be trusted."""
        key = self._keys.current()
        return holds(note.parse(last), key.verifier(f"{key.name}/{self._log_id}"))

    def _from_hint(self, tree: Tree | None) -> Tree | None:
        """The frontier that was kept, if its root is one that was signed."""
        if tree is None:
            return None
        for each in reversed(self._notes.notes):
            known = checkpoint.parse(note.parse(each).text)
            if known.size <= tree.size:
                if (known.size, known.root) != (tree.size, tree.root()):
                    return None
                self._checked(each)
                return tree
        return None

    def _from_log(self, size: int) -> Tree:
        """Where the hashes were lost: hash the log again; the signed root tells if it is whole."""
        tree = Tree()
        self._hashes.truncate(0)
        for group in self._read(1):
            hashes = list(map(leaf_hash, group.leaves))[: size - tree.size]
            if group.first != tree.size + 1 or not hashes:
                break
            tree.extend(hashes)
            self._hashes.append(b"".join(hashes))
        return tree

    def _check_last(self) -> None:
        """The log's last signed leaf must still be there: an older copy would be continued else."""
        size = self._tree.size
        if not size:
            return
        expected = self._hashes.read(size - 1, 1)
        for group in self._read(size):
            at = size - group.first
            if 0 <= at < len(group.leaves) and leaf_hash(group.leaves[at]) == expected:
                return
            break
        raise self._disagrees(f"event {size}, which was signed last, is not in it")

    def _disagrees(self, why: str) -> UsageError:
        return UsageError(
            "ledger_disagrees",
            f"log `{self._log_id}` does not agree with its signed checkpoints: {why}",
            help="`ringfence audit verify` names what was altered; restore from a backup",
        )


def read_hint(path: Path) -> Tree | None:
    """The frontier that was kept last; None if there is none that can be read."""
    try:
        hint = msgspec.json.decode(path.read_bytes(), type=Hint)
        return Tree.resume(hint.size, hint.frontier)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
