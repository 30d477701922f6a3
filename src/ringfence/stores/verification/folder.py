"""Verify the record in a data folder, beside a running plane or after it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, final

from ringfence.analysis.verification import Fault, Finding
from ringfence.domain.error import RingfenceError
from ringfence.stores.body import BodyReader
from ringfence.stores.body.place import Shelves
from ringfence.stores.body.sqlite import SqliteShelves
from ringfence.stores.checkpoint.attestation import read_hint
from ringfence.stores.checkpoint.leaf_file import LeafFile
from ringfence.stores.checkpoint.place import (
    deletions_path,
    directory_path,
    hashes_path,
    keys_path,
    notes_path,
    tree_path,
)
from ringfence.stores.compression import ZstdError, decompress
from ringfence.stores.ledger import Logs, SqliteLogs
from ringfence.stores.verification.account import examine_accounts
from ringfence.stores.verification.examination import Examination, Group
from ringfence.stores.verification.installation import believed, find_strangers, read_installation
from ringfence.stores.verification.leaf import Head
from ringfence.stores.verification.limit import limits
from ringfence.stores.verification.outside import Outside
from ringfence.stores.verification.report import Report
from ringfence.stores.verification.run import examine_runs
from ringfence.stores.verification.trust import Evidence, Vouched

_PAGE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where ledger and bodies are, if not in the data folder alone.

    `owns` tells whether a log is this installation's; another's may be in the same database.
    """

    logs: Logs
    shelves: Shelves
    owns: Callable[[str], bool] = lambda _: True


def verify_folder(
    folder: Path,
    outside: Outside,
    *,
    is_running: bool,
    has_bodies: bool = True,
    kept: Kept | None = None,
) -> Report:
    """Verify everything. `is_running` says that calls may be under way.

    `kept` tells where the ledger is; what vouches for it always stands in the data folder.
    What is wrong is in the report; only what makes verification impossible is raised.
    """
    report = Report()
    listing = _read(directory_path(folder))
    installation = read_installation(_read(keys_path(folder)), listing, outside, report)
    with contextlib.ExitStack() as closing:
        logs = kept.logs if kept else SqliteLogs(folder)
        closing.callback(logs.close)
        shelves = kept.shelves if kept else SqliteShelves(folder)
        bodies = _StoredBodies(shelves) if has_bodies else None
        if bodies is not None:
            closing.callback(bodies.close)
        examination = Examination(report, bodies)
        present = logs.ids()
        for log in sorted({*present, *installation.logs}):
            report.logs += 1
            found = len(report.findings)
            evidence = _evidence(folder, log)
            if evidence.hashes is not None:
                closing.callback(evidence.hashes.close)
            known = outside.of(installation.judge.origin(log))
            vouched = installation.judge.judge(evidence, believed(installation, known, report))
            report.checkpoints += vouched.checkpoints
            presence = _judge_presence(vouched, present, installation.logs)
            if kept is not None and _is_another_s(kept, log, installation.logs, vouched):
                report.remarks.append(
                    f"log `{log}` is not of this data folder: nothing here vouches for it; verify"
                    " it with the folder of the plane that wrote it"
                )
                presence = iter(())
            elif vouched.size:
                origin = installation.judge.origin(log)
                presence = chain(presence, outside.unwitnessed(origin, log))
            for finding in (*presence, *vouched.findings):
                report.add(finding)
            if log in present:
                examination.examine(evidence, vouched, _groups(logs, log, report))
                if len(report.findings) == found:  # sums of events that do not hold say nothing
                    for finding in _accounts(logs, log, vouched):
                        report.add(finding)
        find_strangers(installation, outside, [*present, *installation.logs], report)
        examination.conclude(is_running=is_running)
    report.limits = limits(outside, report, is_running=is_running, has_bodies=has_bodies)
    return report


def _accounts(logs: Logs, log: str, vouched: Vouched) -> Iterator[Finding]:
    """What is wrong with what stands beside a log; one that cannot be read was found before."""
    with contextlib.suppress(RingfenceError), contextlib.closing(logs.read(log)) as rows:
        yield from examine_accounts(rows, is_partial=bool(vouched.deleted))
        yield from examine_runs(rows, is_partial=bool(vouched.deleted))


def _is_another_s(kept: Kept, log: str, listed: list[str], vouched: Vouched) -> bool:
    """Whether a log is none of this folder's: it has not made it, and knows nothing of it."""
    return not (log in listed or vouched.checkpoints or kept.owns(log))


def _judge_presence(vouched: Vouched, present: list[str], listed: list[str]) -> Iterator[Finding]:
    log = vouched.log
    if log not in present:
        text = f"the log and its {vouched.size} signed events are gone"
        yield Finding(fault=Fault.LOG_DELETED, log=log, first=1, last=vouched.size, text=text)
    elif log not in listed:
        text = "no signed directory lists this log"
        yield Finding(fault=Fault.LOG_UNLISTED, log=log, text=text)
    elif not vouched.signed:
        text = "none of its checkpoints is left"
        yield Finding(fault=Fault.CHECKPOINT_REMOVED, log=log, text=text)


def _evidence(folder: Path, log: str) -> Evidence:
    hashes: LeafFile | None = None
    with contextlib.suppress(OSError):
        hashes = LeafFile.open_readable(hashes_path(folder, log))
    kept = read_hint(tree_path(folder, log))
    return Evidence(
        log=log,
        kept=kept.size if kept is not None else 0,
        notes=_read(notes_path(folder, log)) or b"",
        hashes=hashes,
        deletions=_read(deletions_path(folder, log)) or b"",
    )


def _groups(logs: Logs, log: str, report: Report) -> Iterator[Group]:
    """The groups of a log in order, one that cannot be unpacked without its leaves.

    Where the log itself cannot be read, that is found and the reading ends.
    """
    after = -(2**63)
    try:
        with contextlib.closing(logs.read(log)) as rows:
            while page := rows.raw(after, _PAGE):
                for first, count, low_us, high_us, packed in page:
                    yield _group(first, count, (low_us, high_us), packed)
                    after = first
    except RingfenceError as error:
        report.add(Finding(fault=Fault.UNREADABLE, log=log, text=error.message))


def _group(first: int, count: object, index: tuple[object, object], packed: object) -> Group:
    """What is in a row, whatever somebody may have put into it."""
    stated = count if isinstance(count, int) else 0
    low_us, high_us = (each if isinstance(each, int) else 0 for each in index)
    try:
        leaves = decompress(packed).split(b"\n") if isinstance(packed, bytes) else None
    except ZstdError:
        leaves = None
    return Group(first=first, leaves=leaves, count=stated, index=(low_us, high_us))


@final
class _StoredBodies:
    def __init__(self, shelves: Shelves) -> None:
        self._reader = BodyReader(shelves)

    def fits(self, head: Head) -> bool | None:
        """Whether the stored body is the one that was committed to."""
        return self._reader.fits(head.organisation, head.about, head.part, head.body)

    def close(self) -> None:
        self._reader.close()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
