from pathlib import Path

from tests.stores.verification.recording import record

from ringfence.analysis.verification import Fault
from ringfence.stores.checkpoint import SigningKeys, directory
from ringfence.stores.checkpoint.place import directory_path, keys_path
from ringfence.stores.verification.installation import (
    Installation,
    find_strangers,
    read_installation,
)
from ringfence.stores.verification.outside import Outside, read_kept
from ringfence.stores.verification.report import Report


def read(folder: Path, outside: Outside | None = None) -> tuple[Installation, Report]:
    report = Report()
    keys, listing = keys_path(folder).read_bytes(), directory_path(folder).read_bytes()
    return read_installation(keys, listing, outside or Outside(), report), report


def test_keys_and_logs_are_read(tmp_path: Path) -> None:
    record(tmp_path, 3)
    installation, report = read(tmp_path)
    assert installation.logs == ["log_1"]
    assert report.holds
    assert report.key == str(SigningKeys(tmp_path).current().verifier())


def test_a_directory_of_another_key_is_no_directory(tmp_path: Path) -> None:
    record(tmp_path / "a", 3)
    record(tmp_path / "b", 3)
    directory_path(tmp_path / "a").write_bytes(directory_path(tmp_path / "b").read_bytes())
    _, report = read(tmp_path / "a")
    assert [one.fault for one in report.findings] == [Fault.DIRECTORY_ALTERED]


def test_a_directory_that_does_not_continue_an_older_one_is_named(tmp_path: Path) -> None:
    record(tmp_path, 3)
    record(tmp_path, 3, log_id="log_2")
    (tmp_path / "kept").write_bytes(directory_path(tmp_path).read_bytes())
    outside = Outside(kept=tuple(read_kept(tmp_path / "kept")))
    key = SigningKeys(tmp_path).current()
    assert read(tmp_path, outside)[1].holds
    directory_path(tmp_path).write_bytes(directory.write(["log_2", "log_1"], key))
    assert [one.fault for one in read(tmp_path, outside)[1].findings] == [Fault.DIRECTORY_ALTERED]
    directory_path(tmp_path).write_bytes(directory.write(["log_1"], key))
    found = read(tmp_path, outside)[1].findings
    assert [(one.fault, one.log) for one in found] == [(Fault.LOG_DELETED, "log_2")]


def test_checkpoints_of_which_nothing_is_here_are_named(tmp_path: Path) -> None:
    record(tmp_path / "a", 3)
    record(tmp_path / "b", 3)
    notes = tmp_path / "a" / "checkpoints" / "log_1.notes"
    own = Outside(kept=tuple(read_kept(notes)))
    for folder, fault in (("a", Fault.LOG_DELETED), ("b", Fault.REWRITTEN)):
        installation, report = read(tmp_path / folder)
        find_strangers(installation, own, ["log_9"], report)
        assert [one.fault for one in report.findings] == [fault]


def test_a_key_that_was_replaced_takes_no_log_out_of_the_directory(tmp_path: Path) -> None:
    record(tmp_path, 3)
    record(tmp_path, 3, log_id="log_2")
    keys = SigningKeys(tmp_path)
    old = keys.current()
    keys.rotate(1)
    trusted = Outside(key=keys.current().verifier())
    assert read(tmp_path, trusted)[1].holds
    directory_path(tmp_path).write_bytes(directory.write(["log_1"], old))
    found = read(tmp_path, trusted)[1].findings
    assert [one.fault for one in found] == [Fault.DIRECTORY_ALTERED]


def test_a_rotation_vouches_for_no_directory_that_nobody_signed(tmp_path: Path) -> None:
    record(tmp_path / "a", 3)
    record(tmp_path / "b", 3)
    forged = directory_path(tmp_path / "b").read_bytes()
    directory_path(tmp_path / "a").write_bytes(forged)
    SigningKeys(tmp_path / "a").rotate(1)
    assert directory_path(tmp_path / "a").read_bytes() == forged
