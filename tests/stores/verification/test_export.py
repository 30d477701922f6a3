"""An export verifies alone, and whatever is done to it on the way is found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stores.verification.recording import record

from ringfence.analysis.verification import Fault
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger.query import Filter
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.verification import (
    ExportEvidence,
    Outside,
    Report,
    read_kept,
    verify_export,
)
from ringfence.stores.verification.export import PREFIX


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "data"
    record(folder, 300, most=20)
    record(folder, 20, log_id="log_2", seed=2)
    return folder


def lines_of(folder: Path, *, since_us: int | None = None) -> list[bytes]:
    reader = LedgerReader(folder)
    evidence = ExportEvidence(SigningKeys(folder), "org_a", is_whole=since_us is None)
    asked = Filter(organisation="org_a", since_us=since_us, is_newest_first=False)
    lines = []
    for one in reader.query(asked):
        evidence.add(one.leaf)
        lines.append(one.leaf + b"\n")
    reader.close()
    assert evidence.is_covered()
    return [*lines, *evidence.lines()]


def verified(lines: list[bytes], tmp_path: Path, outside: Outside | None = None) -> Report:
    path = tmp_path / "export.jsonl"
    path.write_bytes(b"".join(lines))
    return verify_export(path, outside or Outside())


def test_an_export_holds_alone(folder: Path, tmp_path: Path) -> None:
    key = SigningKeys(folder).current().verifier()
    report = verified(lines_of(folder), tmp_path, Outside(key=key))
    assert report.findings == []
    assert report.logs == 2
    assert report.events == sum(not line.startswith(PREFIX) for line in lines_of(folder)) > 315
    part = verified(lines_of(folder, since_us=1_795_000_000_000_100), tmp_path)
    assert part.holds, part.findings
    assert 0 < part.events < report.events


def swap(lines: list[bytes]) -> None:
    lines[5], lines[6] = lines[6], lines[5]


def alter(lines: list[bytes]) -> None:
    lines[7] = lines[7].replace(b'"epoch":1', b'"epoch":2')


def forget_statement(lines: list[bytes]) -> None:
    del lines[-1]


def forget_evidence(lines: list[bytes]) -> None:
    lines[:] = [line for line in lines if not line.startswith(PREFIX)]


def forget_hashes(lines: list[bytes]) -> None:
    lines[:] = [line for line in lines if b'{"evidence":"hashes"' not in line]


def forge_spans(lines: list[bytes]) -> None:
    del lines[3]
    at = next(at for at, line in enumerate(lines) if b'{"evidence":"events"' in line)
    line = json.loads(lines[at])
    line["spans"] = [[1, 1]]
    lines[at] = b'{"evidence":"events",' + json.dumps(line).encode()[1:] + b"\n"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (alter, Fault.ALTERED),
        (lambda lines: lines.pop(3), Fault.MISSING),
        (swap, Fault.REORDERED),
        (lambda lines: lines.insert(9, lines[4]), Fault.DUPLICATED),
        (lambda lines: lines.insert(9, b"{}\n"), Fault.EXPORT_ALTERED),
        (lambda lines: lines.__delitem__(slice(100)), Fault.MISSING),
        (lambda lines: lines.__delitem__(slice(-3, None)), Fault.EXPORT_ALTERED),
        (forget_statement, Fault.EXPORT_ALTERED),
        (forget_evidence, Fault.KEYS_ALTERED),
        (forget_hashes, Fault.HASHES_ALTERED),
        (forge_spans, Fault.EXPORT_ALTERED),
    ],
)
def test_what_was_done_to_an_export_is_named(
    change: Callable[[list[bytes]], object], fault: Fault, folder: Path, tmp_path: Path
) -> None:
    lines = lines_of(folder)
    change(lines)
    assert fault in {one.fault for one in verified(lines, tmp_path).findings}


def test_every_line_of_evidence_is_watched(folder: Path, tmp_path: Path) -> None:
    lines = lines_of(folder)
    for at, line in enumerate(lines):
        if line.startswith(PREFIX):
            middle = len(line) // 2
            changed = line[:middle] + bytes([line[middle] ^ 1]) + line[middle + 1 :]
            report = verified([*lines[:at], changed, *lines[at + 1 :]], tmp_path)
            assert not report.holds, line


def test_an_export_of_another_installation_is_not_taken(folder: Path, tmp_path: Path) -> None:
    record(tmp_path / "other", 10)
    key = SigningKeys(folder).current().verifier()
    assert not verified(lines_of(tmp_path / "other"), tmp_path, Outside(key=key)).holds
    notes = folder / "checkpoints" / "log_1.notes"
    kept = Outside(kept=tuple(read_kept(notes)))
    assert verified(lines_of(folder), tmp_path, kept).holds
    assert not verified(lines_of(tmp_path / "other"), tmp_path, kept).holds
