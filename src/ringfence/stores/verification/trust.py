"""What the signatures of a log vouch for: which checkpoints hold, and the newest of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import final

from ringfence.analysis.merkle import Tree
from ringfence.analysis.span import Span
from ringfence.analysis.verification import Fault, Finding
from ringfence.domain.error import UsageError
from ringfence.protocols import checkpoint, note
from ringfence.protocols.checkpoint import Checkpoint, Resumption, resumption
from ringfence.protocols.note import Note, VerifierKey
from ringfence.protocols.signature import holds
from ringfence.stores.checkpoint import deletion
from ringfence.stores.checkpoint.leaf_file import LeafFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is kept beside a log: checkpoints, hashes, and what was deleted on purpose.

    `kept` is the size of the frontier that was kept; checkpoints reached at least so far.
    """

    log: str
    notes: bytes
    hashes: LeafFile | None
    kept: int = 0
    deletions: bytes = b""


@dataclass(slots=True, kw_only=True)
class Vouched:
    """What is known to be signed of one log."""

    log: str
    size: int = 0
    checkpoints: int = 0
    is_trusted: bool = False
    """Whether the newest checkpoint was signed with the trusted key, or one after it."""
    is_exact: bool = False
    """Whether the hashes are the signed ones, so that every change can be named."""
    deleted: list[Span] = field(default_factory=list)
    late: list[Resumption] = field(default_factory=list)
    signed: list[Checkpoint] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@final
class Judge:
    """Knows the keys that may sign, in order; one that was replaced may not sign any more.

    Keys before the trusted one were this installation's too: what they signed is no forgery, but
    vouches for nothing.
    """

    def __init__(self, keys: Sequence[VerifierKey], trusted_from: int = 0) -> None:
        """Take all keys, the oldest first, and the number of the first that is trusted."""
        self._keys = list(keys)
        self._trusted_from = trusted_from

    def signer(self, one: Note, name: str) -> int:
        """Which key signed under this name; -1 if none did."""
        for number, key in enumerate(self._keys):
            if holds(one, VerifierKey(name=name, public=key.public)):
                return number
        return -1

    def trusts(self, one: Note, name: str) -> bool:
        """Whether the trusted key, or one after it, signed under this name."""
        signer = self.signer(one, name)
        return signer >= 0 and signer >= self._trusted_from

    def origin(self, log: str) -> str:
        """The name that an installation signs a log under."""
        return f"{self._keys[0].name}/{log}" if self._keys else log

    def judge(self, evidence: Evidence, outside: Sequence[Checkpoint]) -> Vouched:
        """Check every signature, and every root against the hashes.

        `outside` are checkpoints of this log that somebody kept elsewhere.
        """
        vouched = Vouched(log=evidence.log)
        vouched.findings += self._read_notes(evidence, vouched)
        vouched.findings += self._read_deletions(evidence, vouched)
        if vouched.signed and not vouched.is_trusted:
            text = "no checkpoint of it was signed with the trusted key or one after it"
            vouched.findings.append(Finding(fault=Fault.KEYS_ALTERED, log=evidence.log, text=text))
        vouched.size = vouched.signed[-1].size if vouched.signed else 0
        if vouched.size < evidence.kept:
            text = f"events up to {evidence.kept} had one, the newest left covers {vouched.size}"
            vouched.findings.append(
                Finding(
                    fault=Fault.CHECKPOINT_REMOVED,
                    log=evidence.log,
                    first=vouched.size + 1,
                    last=evidence.kept,
                    text=text,
                )
            )
        vouched.findings += _compare_roots(evidence, vouched, outside)
        return vouched

    def _read_notes(self, evidence: Evidence, vouched: Vouched) -> Iterator[Finding]:
        origin, newest, size = self.origin(evidence.log), 0, 0
        for number, data in enumerate(note.split(evidence.notes), 1):
            vouched.checkpoints = number
            try:
                one = note.parse(data)
                stated = checkpoint.parse(one.text)
            except UsageError as error:
                yield _checkpoint_altered(evidence.log, number, 0, error.message)
                continue
            signer = self.signer(one, origin)
            why = ""
            if stated.origin != origin:
                why = f"it is of `{stated.origin}`"
            elif signer < 0:
                why = "it has no signature of an accepted key"
            elif signer < newest:
                why = "it was signed with a key that was replaced before"
            elif stated.size < size:
                why = f"it comes after one of {size} events"
            if why:
                yield _checkpoint_altered(evidence.log, number, stated.size, why)
                continue
            newest, size = signer, stated.size
            vouched.is_trusted = signer >= self._trusted_from
            vouched.signed.append(stated)
            late = resumption(stated)
            if late is not None:
                vouched.late.append(late)

    def _read_deletions(self, evidence: Evidence, vouched: Vouched) -> Iterator[Finding]:
        if not evidence.deletions:
            return
        name = f"{self.origin(evidence.log)}/deleted"
        try:
            one, spans = deletion.read(evidence.deletions)
        except UsageError as error:
            yield Finding(fault=Fault.DELETIONS_ALTERED, log=evidence.log, text=error.message)
            return
        if not one.text.startswith(f"{name}\n") or not self.trusts(one, name):
            text = "the list of deletions has no signature of an accepted key"
            yield Finding(fault=Fault.DELETIONS_ALTERED, log=evidence.log, text=text)
            return
        vouched.deleted = spans


def _compare_roots(
    evidence: Evidence, vouched: Vouched, outside: Sequence[Checkpoint]
) -> Iterator[Finding]:
    """The root of each size that was ever signed must be that of the hashes."""
    log, size = evidence.log, vouched.size
    for each in outside:
        if each.size > size:
            text = f"a checkpoint from outside covers {each.size} events, here are {size}"
            yield Finding(
                fault=Fault.ROLLED_BACK, log=log, first=size + 1, last=each.size, text=text
            )
    tree, wrong = Tree(), 0
    expected = sorted({(one.size, one.root) for one in (*vouched.signed, *outside)})
    known_outside = {(one.size, one.root) for one in outside}
    for upto, root in expected:
        if upto > size:
            break
        if evidence.hashes is not None:
            tree.extend(evidence.hashes.hashes(tree.size, upto))
        if (tree.size, tree.root()) == (upto, root):
            continue
        wrong = wrong or upto
        if (upto, root) in known_outside:
            text = f"its first {upto} events are not those of a checkpoint from outside"
            yield Finding(fault=Fault.REWRITTEN, log=log, first=1, last=upto, text=text)
    newest = vouched.signed[-1].root if vouched.signed else tree.root()
    vouched.is_exact = (tree.size, tree.root()) == (size, newest)
    if not vouched.is_exact:
        text = f"the kept hashes are not those that were signed, from checkpoint {wrong} on"
        yield Finding(fault=Fault.HASHES_ALTERED, log=log, first=1, last=size, text=text)


def _checkpoint_altered(log: str, number: int, size: int, why: str) -> Finding:
    text = f"checkpoint {number}: {why}"
    return Finding(fault=Fault.CHECKPOINT_ALTERED, log=log, first=size, last=size, text=text)
