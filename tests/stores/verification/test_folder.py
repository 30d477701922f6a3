"""Must show: in a record of 10,000 events everything that is done to it is found and named.

Swept in full, each position with three masks: every byte of the leaves of the first, a middle and
the last group, of the newest checkpoint, of the directory and of the key statements. Sampled by
hypothesis: any byte of any leaf, and any byte of the packed groups as they lie in the file.
"""

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stores.verification.recording import LOG, Leaf, copied, opened, record, rewrite

from ringfence.analysis.verification import Fault, Finding
from ringfence.protocols import note
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.checkpoint.place import (
    directory_path,
    hashes_path,
    keys_path,
    notes_path,
    tree_path,
)
from ringfence.stores.compression import Compressor, ZstdError, decompress
from ringfence.stores.ledger.fence import log_path
from ringfence.stores.verification import Outside, Report, read_kept, verify_folder

COUNT = 10_000
MASKS = (0x01, 0x20, 0x80)
SLOW = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two logs, 10,000 events in the first; never changed."""
    folder = tmp_path_factory.mktemp("record") / "data"
    record(folder, COUNT)
    record(folder, 50, log_id="log_2", seed=2)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "data"
    record(folder, 12, most=1)
    return folder


def verified(folder: Path, outside: Outside | None = None) -> Report:
    return verify_folder(folder, outside or Outside(), is_running=False)


def faults(folder: Path, outside: Outside | None = None) -> set[Fault]:
    return {one.fault for one in verified(folder, outside).findings}


def about(report: Report, fault: Fault) -> list[Finding]:
    return [one for one in report.findings if one.fault is fault]


def test_a_record_that_was_left_alone_holds(whole: Path) -> None:
    report = verified(whole)
    assert report.findings == []
    assert (report.logs, report.checkpoints > 100) == (2, True)
    assert report.events >= COUNT + 50
    assert report.key == str(SigningKeys(whole).current().verifier())
    assert any("--key" in each for each in report.limits)
    assert any("--since" in each for each in report.limits)


def groups_of(folder: Path) -> list[tuple[int, bytes]]:
    with opened(folder) as connection:
        return connection.execute("SELECT first, leaves FROM segments ORDER BY first").fetchall()


def put(connection: sqlite3.Connection, first: int, packed: bytes) -> None:
    connection.execute("UPDATE segments SET leaves = ? WHERE first = ?", (packed, first))


def repacked(data: bytes) -> bytes:
    return Compressor(1).compress(data)


def test_every_byte_of_representative_groups_is_watched(small: Path, tmp_path: Path) -> None:
    folder = copied(small, tmp_path / "data")
    groups = groups_of(folder)
    with opened(folder) as connection:
        for first, packed in (groups[0], groups[len(groups) // 2], groups[-1]):
            data = decompress(packed)
            for at in range(len(data)):
                mask = MASKS[at % 3]
                changed = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
                put(connection, first, repacked(changed))
                found = verified(folder).findings
                place = first + data.count(b"\n", 0, at)
                assert any(one.log == LOG and one.first <= place <= one.last for one in found), (
                    first,
                    at,
                    mask,
                )
            put(connection, first, packed)
    assert verified(folder).holds


@SLOW
@given(st.data())
def test_any_byte_of_any_leaf_is_watched(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = shared(whole, tmp_path_factory)
    groups = groups_of(folder)
    first, packed = data.draw(st.sampled_from(groups))
    plain = decompress(packed)
    at = data.draw(st.integers(0, len(plain) - 1))
    mask = data.draw(st.integers(1, 255))
    with opened(folder) as connection:
        put(connection, first, repacked(plain[:at] + bytes([plain[at] ^ mask]) + plain[at + 1 :]))
        found = verified(folder).findings
        put(connection, first, packed)
    place = first + plain.count(b"\n", 0, at)
    assert any(one.log == LOG and one.first <= place <= one.last for one in found)


@SLOW
@given(st.data())
def test_any_byte_of_a_packed_group_is_watched(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = shared(whole, tmp_path_factory)
    first, packed = data.draw(st.sampled_from(groups_of(folder)))
    at = data.draw(st.integers(0, len(packed) - 1))
    mask = data.draw(st.integers(1, 255))
    changed = packed[:at] + bytes([packed[at] ^ mask]) + packed[at + 1 :]
    with opened(folder) as connection:
        put(connection, first, changed)
        found = verified(folder).findings
        put(connection, first, packed)
    assert found or unpacked(changed) == unpacked(packed)  # some bits of a frame mean nothing


def unpacked(packed: bytes) -> bytes | None:
    try:
        return decompress(packed)
    except ZstdError:
        return None


_SHARED: dict[Path, Path] = {}


def shared(whole: Path, factory: pytest.TempPathFactory) -> Path:
    """One copy for all examples; each undoes what it did."""
    if whole not in _SHARED:
        _SHARED[whole] = copied(whole, factory.mktemp("shared") / "data")
    return _SHARED[whole]


@pytest.mark.parametrize("column", ["first", "count", "low_us", "high_us"])
@pytest.mark.parametrize("change", ["+ 1", "- 1", "* 2"])
def test_what_is_stated_beside_a_group_is_watched(
    column: str, change: str, whole: Path, tmp_path: Path
) -> None:
    folder = copied(whole, tmp_path / "data")
    with opened(folder) as connection:
        (first,) = connection.execute("SELECT first FROM segments WHERE first > 5000").fetchone()
        connection.execute(
            f"UPDATE segments SET {column} = {column} {change} WHERE first = ?",  # noqa: S608 (constants)
            (first,),
        )
    assert any(abs(one.first - first) < 200 for one in verified(folder).findings)


def leaf_change(change: Callable[[Leaf, int], object]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        with opened(folder) as connection:
            rewrite(connection, 5001, change)

    return tamper


def altered(leaves: Leaf, at: int) -> None:
    leaves[at] = leaves[at].replace(b'"epoch":1', b'"epoch":2')


def dropped(leaves: Leaf, at: int) -> None:
    del leaves[at]


def swapped(leaves: Leaf, at: int) -> None:
    leaves[at], leaves[at - 1] = leaves[at - 1], leaves[at]


def repeated(leaves: Leaf, at: int) -> None:
    leaves[at - 1] = leaves[at]


def put_in(leaves: Leaf, at: int) -> None:
    leaves.insert(at, b'{"kind":"change","subject":"agt_9"}')


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (altered, {(Fault.ALTERED, 5001)}),
        (dropped, {(Fault.MISSING, 5001)}),
        (swapped, {(Fault.REORDERED, 5000), (Fault.REORDERED, 5001)}),
        (repeated, {(Fault.DUPLICATED, 5001), (Fault.MISSING, 5000)}),
        (put_in, {(Fault.ADDED, 5001)}),
    ],
)
def test_what_was_done_to_an_event_is_named(
    change: Callable[[Leaf, int], object],
    expected: set[tuple[Fault, int]],
    whole: Path,
    tmp_path: Path,
) -> None:
    folder = copied(whole, tmp_path / "data")
    leaf_change(change)(folder)
    named = {(one.fault, one.first) for one in verified(folder).findings if one.log == LOG}
    assert expected <= named
    consequences = {Fault.INDEX_ALTERED, Fault.OUTCOME_MISSING, Fault.OUTCOME_EXTRA}
    assert {one for one in named - expected if one[0] not in consequences} == set()


def test_an_altered_event_is_named_by_its_action(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "data")
    leaf_change(altered)(folder)
    (finding,) = about(verified(folder), Fault.ALTERED)
    assert finding.id.split(" ")[1].startswith("act_")


def run(*statements: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        with opened(folder) as connection:
            for statement in statements:
                connection.execute(statement)

    return tamper


def test_a_dropped_group_is_named(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "data")
    (first, last) = next(
        (one, other - 1)
        for (one, _), (other, _) in zip(groups_of(whole), groups_of(whole)[1:], strict=False)
        if one > 5000
    )
    run(f"DELETE FROM segments WHERE first = {first}")(folder)  # noqa: S608 (a number)
    (finding,) = about(verified(folder), Fault.MISSING)
    assert (finding.log, finding.first, finding.last) == (LOG, first, last)


def test_a_cut_tail_is_named(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "data")
    run("DELETE FROM segments WHERE first > 9000")(folder)
    (finding,) = about(verified(folder), Fault.TRUNCATED)
    assert (finding.log, finding.last) == (LOG, verified(whole).events - 50 - 1)
    assert 9000 < finding.first < 9200


def test_two_swapped_groups_are_named(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "data")
    rows = [row for row in groups_of(folder) if row[0] > 5000][:2]
    with opened(folder) as connection:
        put(connection, rows[0][0], rows[1][1])
        put(connection, rows[1][0], rows[0][1])
    assert Fault.REORDERED in faults(folder)


def test_a_deleted_log_is_named(whole: Path, tmp_path: Path) -> None:
    for number, extra in enumerate(([], [notes_path, hashes_path, tree_path])):
        folder = copied(whole, tmp_path / f"data{number}")
        log_path(folder, "log_2").unlink()
        for path in extra:
            path(folder, "log_2").unlink()
        (finding,) = about(verified(folder), Fault.LOG_DELETED)
        assert finding.log == "log_2"


def test_a_log_that_nobody_signed_is_named(whole: Path, tmp_path: Path) -> None:
    folder, other = copied(whole, tmp_path / "data"), tmp_path / "other"
    record(other, 10, log_id="log_9")
    log_path(other, "log_9").rename(log_path(folder, "log_9"))
    assert [one.log for one in about(verified(folder), Fault.LOG_UNLISTED)] == ["log_9"]


def test_an_older_copy_of_a_log_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    record(folder, 100)
    older = log_path(folder, LOG).read_bytes()
    record(folder, 100, seed=3)
    log_path(folder, LOG).write_bytes(older)
    (finding,) = about(verified(folder), Fault.TRUNCATED)
    assert finding.first in {101, 102}


def kept(folder: Path, to: Path) -> Outside:
    """What somebody keeps elsewhere: the newest checkpoint of each log, and the directory."""
    notes = [list(note.split(path.read_bytes()))[-1] for path in folder.glob("checkpoints/*.notes")]
    to.write_bytes(b"".join([*notes, directory_path(folder).read_bytes()]))
    return Outside(kept=tuple(read_kept(to)))


def test_an_older_copy_of_everything_is_found_with_a_checkpoint_from_outside(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    record(folder, 100)
    older = copied(folder, tmp_path / "older")
    record(folder, 100, seed=3)
    record(folder, 10, log_id="log_2", seed=4)
    outside = kept(folder, tmp_path / "kept")
    assert verified(folder, outside).holds
    assert verified(older).holds  # nobody could tell
    found = verified(older, outside)
    assert {one.log for one in about(found, Fault.ROLLED_BACK)} == {LOG}
    assert {one.log for one in about(found, Fault.LOG_DELETED)} == {"log_2"}


def test_a_history_that_was_rewritten_with_its_own_key_is_found_from_outside(
    tmp_path: Path,
) -> None:
    folder, again = tmp_path / "data", tmp_path / "again"
    record(folder, 100)
    outside = kept(folder, tmp_path / "kept")
    again.mkdir()
    (again / "keys").mkdir(mode=0o700)
    (again / "checkpoints").mkdir()
    # Whoever has stolen the key writes another history.
    SigningKeys(again).path.write_bytes(SigningKeys(folder).path.read_bytes())
    SigningKeys(again).path.chmod(0o600)
    record(again, 150, seed=9)
    keys_path(again).write_bytes(keys_path(folder).read_bytes())
    assert verified(again).holds
    assert Fault.REWRITTEN in faults(again, outside)


def test_a_history_under_another_key_is_found_with_the_trusted_one(
    whole: Path, tmp_path: Path
) -> None:
    record(tmp_path / "data", 20)
    trusted = Outside(key=SigningKeys(whole).current().verifier())
    assert verified(whole, trusted).holds
    assert Fault.KEYS_ALTERED in faults(tmp_path / "data", trusted)
    assert Fault.REWRITTEN in faults(tmp_path / "data", kept(whole, tmp_path / "kept"))


def test_keys_may_change_and_a_trusted_one_leads_to_the_later_ones(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    record(folder, 30)
    first = SigningKeys(folder).current().verifier()
    SigningKeys(folder).rotate(1)
    record(folder, 30, seed=2)
    assert verified(folder).holds
    assert verified(folder, Outside(key=first)).holds
    # What the new key signed covers all that the old one did.
    assert verified(folder, Outside(key=SigningKeys(folder).current().verifier())).holds


def test_a_log_that_the_trusted_key_never_signed_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    record(folder, 30)
    record(folder, 30, log_id="log_2")
    SigningKeys(folder).rotate(1)
    record(folder, 30, seed=2)
    trusted = Outside(key=SigningKeys(folder).current().verifier())
    assert [one.log for one in about(verified(folder, trusted), Fault.KEYS_ALTERED)] == ["log_2"]


def notes_of(folder: Path) -> list[bytes]:
    return list(note.split(notes_path(folder, LOG).read_bytes()))


def test_a_replaced_checkpoint_is_named(whole: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    record(other, COUNT // 10)
    for number, (at, replacement) in enumerate(
        [(50, notes_of(other)[-1]), (50, notes_of(whole)[10]), (-1, notes_of(whole)[-2])]
    ):
        folder = copied(whole, tmp_path / f"data{number}")
        notes = notes_of(folder)
        notes[at] = replacement
        notes_path(folder, LOG).write_bytes(b"".join(notes))
        assert faults(folder) & {Fault.CHECKPOINT_ALTERED, Fault.CHECKPOINT_REMOVED}


@pytest.mark.parametrize("left", [0, 1, -1])
def test_removed_checkpoints_are_named(left: int, whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "data")
    notes_path(folder, LOG).write_bytes(b"".join(notes_of(folder)[:left]))
    assert Fault.CHECKPOINT_REMOVED in faults(folder)


def flips(path: Path) -> Iterator[int]:
    """Change each byte of a file in turn, and put it back."""
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ MASKS[at % 3]]) + data[at + 1 :])
        yield at
    path.write_bytes(data)


def test_every_byte_of_what_is_signed_is_watched(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    record(folder, 3, most=3)
    for path in (directory_path(folder), keys_path(folder), notes_path(folder, LOG)):
        for at in flips(path):
            assert not verified(folder).holds, (path.name, at)
    assert verified(folder).holds


def test_every_byte_of_the_kept_hashes_is_watched(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    record(folder, 5, most=2)
    for _ in flips(hashes_path(folder, LOG)):
        assert Fault.HASHES_ALTERED in faults(folder)


def test_an_event_and_its_hash_that_were_altered_together_are_found(
    whole: Path, tmp_path: Path
) -> None:
    folder = copied(whole, tmp_path / "data")
    leaf_change(altered)(folder)
    hashes_path(folder, LOG).unlink()
    report = verified(folder)
    (finding,) = about(report, Fault.ALTERED)
    assert finding.first <= 5001 <= finding.last
    assert finding.last - finding.first < 200


@pytest.mark.parametrize("damage", [b"", b"no database", None])
def test_a_file_that_cannot_be_read_is_named(
    damage: bytes | None, whole: Path, tmp_path: Path
) -> None:
    folder = copied(whole, tmp_path / "data")
    path = log_path(folder, LOG)
    if damage is None:
        data = bytearray(path.read_bytes())
        dice = random.Random(1)  # noqa: S311 (a test's dice)
        data[len(data) // 2 : len(data) // 2 + 8192] = dice.randbytes(8192)
        path.write_bytes(data)
    else:
        path.write_bytes(damage)
    assert any(one.log == LOG for one in verified(folder).findings)


def test_an_intent_without_outcome_is_named_unless_the_plane_runs(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    record(folder, 40, most=1)
    with opened(folder) as connection:
        outcomes = connection.execute("SELECT max(first) FROM segments").fetchone()
        connection.execute("DELETE FROM segments WHERE first = ?", outcomes)
    report = verified(folder)
    assert len(about(report, Fault.OUTCOME_MISSING)) == 1
    running = verify_folder(folder, Outside(), is_running=True)
    assert not about(running, Fault.OUTCOME_MISSING)
    assert any("under way" in each for each in running.remarks)


def test_a_folder_without_any_signature_does_not_hold(tmp_path: Path) -> None:
    assert faults(tmp_path) == {Fault.KEYS_ALTERED, Fault.DIRECTORY_ALTERED}
