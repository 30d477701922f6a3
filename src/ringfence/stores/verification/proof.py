"""Prove that one event is in its log, in a text that a third party can check alone.

The text is a C2SP tlog-proof: the event itself as `extra`, its index, the path, the checkpoint.
"""

import re
from pathlib import Path
from typing import Final

from ringfence.analysis.merkle import Tree, inclusion, is_included, leaf_hash
from ringfence.analysis.verification import Fault, Finding
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.protocols import checkpoint, note
from ringfence.protocols.note import VerifierKey, decode64, encode64
from ringfence.protocols.signature import holds
from ringfence.stores.checkpoint.latest import latest_notes
from ringfence.stores.checkpoint.leaf_file import LeafFile
from ringfence.stores.checkpoint.place import hashes_path
from ringfence.stores.verification.leaf import describe, read_head
from ringfence.stores.verification.outside import Outside
from ringfence.stores.verification.report import Report

FIRST_LINE: Final = b"c2sp.org/tlog-proof@v1\n"
_HEAD_LINES: Final = 3
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")


def prove(folder: Path, leaf: bytes) -> bytes:
    """Prove an event as it stands in the ledger.

    Raises UnavailableError `not_covered_yet`, UsageError `hashes_altered`; OSError.
    """
    head = read_head(leaf)
    signed = latest_notes(folder).get(head.log)
    stated = checkpoint.parse(note.parse(signed).text) if signed is not None else None
    if signed is None or stated is None or head.sequence > stated.size:
        raise UnavailableError("not_covered_yet", "no checkpoint covers this event yet")
    hashes = LeafFile.open_readable(hashes_path(folder, head.log))
    try:

        def subtree(low: int, high: int) -> bytes:
            tree = Tree()
            tree.extend(hashes.hashes(low, high))
            return tree.root()

        path = inclusion(head.sequence - 1, stated.size, subtree)
    finally:
        hashes.close()
    if not is_included(leaf_hash(leaf), head.sequence - 1, stated.size, path, stated.root):
        raise UsageError(
            "hashes_altered",
            f"event {head.sequence} of log `{head.log}` is not as it was signed",
            help="`ringfence audit verify` names what was altered",
        )
    lines = [f"extra {encode64(leaf)}", f"index {head.sequence - 1}", *map(encode64, path)]
    return FIRST_LINE + "".join(f"{line}\n" for line in lines).encode() + b"\n" + signed


def verify_proof(data: bytes, outside: Outside) -> Report:
    """Check a proof alone. Raises UsageError `key_needed` without a trusted key, `proof_malformed`.

    Anything that can be read and does not hold is in the report.
    """
    if outside.key is None:
        raise UsageError(
            "key_needed",
            "a proof can be checked with the public key alone",
            help="give --key, as `ringfence up` prints it",
        )
    leaf, index, path, signed = _parse(data)
    one = note.parse(signed)
    stated = checkpoint.parse(one.text)
    report = Report(logs=1, events=1, checkpoints=1, key=str(outside.key))
    name, sequence = describe(leaf)
    log = stated.origin.rpartition("/")[2]
    is_ours = stated.origin == f"{outside.key.name}/{log}"
    if not is_ours or not holds(one, VerifierKey(name=stated.origin, public=outside.key.public)):
        text = "the checkpoint was not signed with the trusted key"
        report.add(Finding(fault=Fault.CHECKPOINT_ALTERED, log=log, text=text))
    if not outside.is_witnessed(one):
        text = "a witness that is demanded has not signed the checkpoint"
        report.add(Finding(fault=Fault.UNWITNESSED, log=log, text=text))
    if not is_included(leaf_hash(leaf), index, stated.size, path, stated.root):
        text = "the path does not lead from this event to the checkpoint"
        report.add(
            Finding(
                fault=Fault.ALTERED, log=log, first=index + 1, last=index + 1, id=name, text=text
            )
        )
    elif sequence != index + 1 or read_head(leaf).log != log:
        text = f"it says that it is event {sequence}"
        report.add(
            Finding(
                fault=Fault.REORDERED, log=log, first=index + 1, last=index + 1, id=name, text=text
            )
        )
    report.remarks.append(f"it proves event {index + 1} of log `{log}`: {name}")
    report.limits.append("anything about other events: this is a proof of one")
    report.limits.append("that the event was wrong when it was written")
    return report


def _parse(data: bytes) -> tuple[bytes, int, list[bytes], bytes]:
    head, gap, signed = data.partition(b"\n\n")
    lines = head.decode("ascii", "replace").split("\n")
    first, extra, index, *path = [*lines, "", "", ""] if len(lines) < _HEAD_LINES else lines
    is_in_form = f"{first}\n".encode() == FIRST_LINE and bool(gap)
    is_in_form &= extra.startswith("extra ") and index.startswith("index ")
    if not is_in_form or not _NUMBER.fullmatch(index[6:]):
        raise UsageError("proof_malformed", "the proof cannot be read: it is no tlog-proof")
    try:
        return decode64(extra[6:]), int(index[6:]), list(map(decode64, path)), signed
    except ValueError as error:
        raise UsageError("proof_malformed", f"the proof cannot be read: {error}") from error
