"""Make an export that can be verified elsewhere, and verify one.

After its events an export has lines that begin with `{"evidence":`: public keys, directory, and
for each log the newest checkpoint, what was deleted, and the hash of every event. The last line is
a signed checkpoint over the exported events themselves, so that none can be left out unnoticed. Of
other organisations' events it tells nothing but their hashes, each over an unguessable id.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

import msgspec

from ringfence.analysis.merkle import Tree, leaf_hash
from ringfence.analysis.span import Span, merged
from ringfence.analysis.verification import Fault, Finding
from ringfence.domain.error import UsageError
from ringfence.protocols import checkpoint, note
from ringfence.protocols.checkpoint import Checkpoint
from ringfence.protocols.note import Note, decode64, encode64
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.checkpoint.latest import installation_notes, latest_notes
from ringfence.stores.checkpoint.leaf_file import HASH_BYTES, LeafFile
from ringfence.stores.checkpoint.place import deletions_path, hashes_path, keys_path
from ringfence.stores.verification.examination import Examination, Group
from ringfence.stores.verification.installation import (
    Installation,
    believed,
    find_strangers,
    read_installation,
)
from ringfence.stores.verification.leaf import read_head
from ringfence.stores.verification.limit import limits
from ringfence.stores.verification.outside import Outside
from ringfence.stores.verification.report import Report
from ringfence.stores.verification.trust import Evidence

PREFIX: Final = b'{"evidence":'
_NAME: Final = "export"
_BLOCK: Final = 256
"""Hashes, or spans, on one line: 11 KB."""


class Line(msgspec.Struct, omit_defaults=True):
    """One line of evidence; `hashes` begin at index `first`, `spans` are exported sequences."""

    evidence: str
    log: str = ""
    note: str = ""
    first: int = -1
    hashes: str = ""
    spans: list[tuple[int, int]] = []


@final
class ExportEvidence:
    """Watches events go by, then gives the lines that vouch for them."""

    def __init__(self, keys: SigningKeys, organisation: str, *, is_whole: bool) -> None:
        """`is_whole` says that no filter leaves events of the organisation out."""
        self._keys = keys
        self._organisation = organisation
        self._is_whole = is_whole
        self._tree = Tree()
        self._spans: dict[str, list[Span]] = {}

    def add(self, leaf: bytes) -> None:
        """Take the next exported event."""
        self._tree.append(leaf_hash(leaf))
        head = read_head(leaf)
        spans = self._spans.setdefault(head.log, [])
        if spans and spans[-1].last + 1 == head.sequence:
            spans[-1] = Span(spans[-1].first, head.sequence)
        else:
            spans.append(Span(head.sequence, head.sequence))

    def is_covered(self) -> bool:
        """Whether checkpoints reach all that was exported; they lag by some milliseconds."""
        sizes = {
            log: checkpoint.parse(note.parse(one).text).size
            for log, one in latest_notes(self._keys.folder).items()
        }
        return all(spans[-1].last <= sizes.get(log, 0) for log, spans in self._spans.items())

    def lines(self) -> Iterator[bytes]:
        """The evidence, a line at a time. Raises OSError, UsageError as `SigningKeys`."""
        folder = self._keys.folder
        if not (self._spans or keys_path(folder).exists()):
            return  # nothing was ever written here, so nobody has signed anything
        for what, data in installation_notes(folder).items():
            yield _line(Line(evidence=what, note=data.decode()))
        latest = latest_notes(folder)
        for log, spans in sorted(self._spans.items()):
            signed = latest.get(log, b"")
            yield _line(Line(evidence="checkpoint", log=log, note=signed.decode()))
            if deletions_path(folder, log).exists():
                data = deletions_path(folder, log).read_bytes()
                yield _line(Line(evidence="deleted", log=log, note=data.decode()))
            for at in range(0, len(spans), _BLOCK):
                some = [(span.first, span.last) for span in spans[at : at + _BLOCK]]
                yield _line(Line(evidence="events", log=log, spans=some))
            yield from _hash_lines(folder, log, signed)
        yield _line(Line(evidence=_NAME, note=self._statement().decode()))

    def _statement(self) -> bytes:
        key = self._keys.current()
        origin = f"{key.name}/{_NAME}"
        whole = "whole" if self._is_whole else "part"
        stated = Checkpoint(
            origin=origin,
            size=self._tree.size,
            root=self._tree.root(),
            extensions=(f"organisation {self._organisation}", whole),
        )
        text = checkpoint.render(stated)
        return note.render(Note(text=text, signatures=(key.sign(text, origin),)))


def _hash_lines(folder: Path, log: str, signed: bytes) -> Iterator[bytes]:
    size = checkpoint.parse(note.parse(signed).text).size if signed else 0
    hashes = LeafFile.open_readable(hashes_path(folder, log))
    try:
        for first in range(0, size, _BLOCK):
            block = encode64(hashes.read(first, min(_BLOCK, size - first)))
            yield _line(Line(evidence="hashes", log=log, first=first, hashes=block))
    finally:
        hashes.close()


def _line(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


@final
class _Gathered:
    """The evidence of one export; hashes are put into files, so that memory stays bounded."""

    def __init__(self, folder: Path) -> None:
        self.notes: dict[tuple[str, str], bytes] = {}
        self.spans: dict[str, list[Span]] = {}
        self.hashes: dict[str, LeafFile] = {}
        self.problems: list[str] = []
        self.root = Tree()
        self._folder = folder

    def take(self, data: bytes) -> None:
        try:
            line = msgspec.json.decode(data, type=Line)
            if line.evidence == "hashes":
                self._take_hashes(line)
            elif line.evidence == "events":
                spans = self.spans.setdefault(line.log, [])
                spans += [Span(*one) for one in line.spans]
            else:
                self.notes[line.evidence, line.log] = line.note.encode()
        except (msgspec.MsgspecError, ValueError) as error:
            self.problems.append(str(error))

    def _take_hashes(self, line: Line) -> None:
        file = self.hashes.get(line.log)
        if file is None:
            path = self._folder / f"{len(self.hashes)}"
            file = self.hashes[line.log] = LeafFile.open(path)
        data = decode64(line.hashes)
        if line.first != file.size or len(data) % HASH_BYTES:
            raise ValueError("hashes are missing")
        file.append(data)


def verify_export(path: Path, outside: Outside) -> Report:
    """Verify an export alone, on whatever machine. Raises UsageError `not_readable`."""
    report = Report()
    with contextlib.ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="ringfence-")))
        gathered = _gather(path, folder)
        for file in gathered.hashes.values():
            closing.callback(file.close)
        for problem in gathered.problems:
            report.add(Finding(fault=Fault.EXPORT_ALTERED, text=f"evidence: {problem}"))
        keys, listing = gathered.notes.get(("keys", "")), gathered.notes.get(("directory", ""))
        installation = read_installation(keys, listing, outside, report)
        is_whole = _check_statement(gathered, installation, report)
        examination = Examination(report, None)
        logs = sorted(log for what, log in gathered.notes if what == "checkpoint")
        for log in sorted({*logs, *gathered.spans}):
            report.logs += 1
            evidence = Evidence(
                log=log,
                notes=gathered.notes.get(("checkpoint", log), b""),
                hashes=gathered.hashes.get(log),
                deletions=gathered.notes.get(("deleted", log), b""),
            )
            origin = installation.judge.origin(log)
            kept = believed(installation, outside.of(origin), report)
            vouched = installation.judge.judge(evidence, kept)
            report.checkpoints += vouched.checkpoints
            for finding in (*outside.unwitnessed(origin, log), *vouched.findings):
                report.add(finding)
            wanted = merged(gathered.spans.get(log, []))
            examination.examine(evidence, vouched, _groups(path, log), wanted)
        if is_whole:
            find_strangers(installation, outside, installation.logs, report)
        examination.conclude(is_running=True, is_partial=not is_whole)
    report.limits = limits(outside, report, is_running=True, has_bodies=False)
    return report


def _gather(path: Path, folder: Path) -> _Gathered:
    """Read the evidence, and the root over all that is none."""
    gathered = _Gathered(folder)
    for data in _lines(path):
        if data.startswith(PREFIX):
            gathered.take(data)
        else:
            gathered.root.append(leaf_hash(data))
    return gathered


def _check_statement(gathered: _Gathered, installation: Installation, report: Report) -> bool:
    """Compare the events with the signed statement about them; whether nothing was filtered."""
    data = gathered.notes.get((_NAME, ""))
    origin = installation.judge.origin(_NAME)
    why, is_whole = "", False
    if data is None:
        why = "it carries no signed statement about its events: it was cut, or made without one"
    else:
        try:
            one = note.parse(data)
            stated = checkpoint.parse(one.text)
        except UsageError as error:
            why = error.message
        else:
            is_whole = "whole" in stated.extensions
            if stated.origin != origin or installation.judge.signer(one, origin) < 0:
                why = "the statement about its events has no signature of an accepted key"
            elif (stated.size, stated.root) != (gathered.root.size, gathered.root.root()):
                why = f"its events are not the {stated.size} that were exported, in their order"
    if why:
        report.add(Finding(fault=Fault.EXPORT_ALTERED, text=why))
    return is_whole


def _groups(path: Path, log: str) -> Iterator[Group]:
    """The events of one log, each at the place it states."""
    for data in _lines(path):
        if data.startswith(PREFIX):
            continue
        try:
            head = read_head(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # found by the statement over all of them
        if head.log == log:
            yield Group(first=head.sequence, leaves=[data], count=1)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for line in file:
                yield line.removesuffix(b"\n")
    except OSError as error:
        raise UsageError("not_readable", f"cannot read `{path}`: {error.strerror}") from error
