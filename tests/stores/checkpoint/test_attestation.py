"""A log is vouched for from its first event on, over crashes, and never once it was altered."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stores.checkpoint.signing import (
    LOG,
    NOW_US,
    MemoryLog,
    checkpoints,
    opened,
    stated,
)

from ringfence.analysis.merkle import Tree, leaf_hash
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.protocols.checkpoint import Resumption, resumption
from ringfence.stores.checkpoint import Attestation, SigningKeys, directory
from ringfence.stores.checkpoint.attestation import Leaves
from ringfence.stores.checkpoint.place import (
    directory_path,
    hashes_path,
    keys_path,
    notes_path,
    tree_path,
)


def root_of(log: MemoryLog) -> bytes:
    tree = Tree()
    tree.extend(leaf_hash(leaf) for group in log.groups for leaf in group.leaves)
    return tree.root()


def attested(folder: Path, log: MemoryLog, *sizes: int) -> None:
    """As a plane does: open, grow, sign each group, close."""
    attestation = opened(folder, log)
    for size in sizes:
        for group in log.write(size):
            assert attestation.add(group)
        attestation.sign()
    attestation.sync()
    attestation.close()


def test_a_new_log_is_listed_and_signed_before_its_first_event(tmp_path: Path) -> None:
    attestation = opened(tmp_path, MemoryLog())
    assert stated(attestation.latest).size == 0
    assert directory.listed(tmp_path) == [LOG]
    attestation.close()


def test_each_group_is_covered(tmp_path: Path) -> None:
    log = MemoryLog()
    attested(tmp_path, log, 3, 1, 100)
    signed = checkpoints(tmp_path)
    assert [one.size for one in signed] == [0, 3, 4, 104]
    assert signed[-1].root == root_of(log)
    assert not any(map(resumption, signed))


def test_a_second_log_stands_in_the_same_directory(tmp_path: Path) -> None:
    attested(tmp_path, MemoryLog(), 1)
    opened(tmp_path, MemoryLog(), "log_2").close()
    attested(tmp_path, MemoryLogOf(checkpoints(tmp_path)[-1].size))
    assert directory.listed(tmp_path) == [LOG, "log_2"]


def MemoryLogOf(size: int) -> MemoryLog:  # noqa: N802 (reads as the class)
    log = MemoryLog()
    log.write(size)
    return log


def test_an_old_log_is_covered_late_and_says_so(tmp_path: Path) -> None:
    log = MemoryLogOf(7)
    opened(tmp_path, log).close()
    (signed,) = checkpoints(tmp_path)
    assert (signed.size, signed.root) == (7, root_of(log))
    assert resumption(signed) == Resumption(size=0, time_us=NOW_US)


def test_what_a_crash_left_uncovered_is_covered_late_and_says_so(tmp_path: Path) -> None:
    log = MemoryLog()
    attested(tmp_path, log, 5)
    log.write(3)
    attested(tmp_path, log, 2)
    signed = checkpoints(tmp_path)
    assert [one.size for one in signed] == [0, 5, 8, 10]
    late = Resumption(size=5, time_us=NOW_US)
    assert [resumption(one) for one in signed] == [None, None, late, None]
    assert signed[-1].root == root_of(log)


def test_a_start_reads_nothing_of_what_was_signed_but_the_last_group(tmp_path: Path) -> None:
    log = MemoryLog()
    attested(tmp_path, log, *[10] * 20)
    asked: list[int] = []

    def read(sequence: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 (a spy)
        asked.append(sequence)
        return log.read(sequence)

    Attestation.open(SigningKeys(tmp_path), LOG, read, NOW_US).close()
    assert asked == [200, 201]


Damage = Callable[[Path], object]


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"torn\n")


def without_frontier(folder: Path) -> Path:
    tree_path(folder, LOG).unlink()
    return hashes_path(folder, LOG)


@pytest.mark.parametrize(
    "lose",
    [
        lambda folder: tree_path(folder, LOG).unlink(),
        lambda folder: tree_path(folder, LOG).write_bytes(b"{"),
        lambda folder: hashes_path(folder, LOG).unlink(),
        lambda folder: without_frontier(folder).unlink(),
        lambda folder: os.truncate(without_frontier(folder), 100),
        lambda folder: without_frontier(folder).write_bytes(bytes(8 * 32)),
        lambda folder: lengthen(hashes_path(folder, LOG)),
        lambda folder: lengthen(notes_path(folder, LOG)),
    ],
)
def test_what_can_be_made_again_is(lose: Damage, tmp_path: Path) -> None:
    log = MemoryLog()
    attested(tmp_path, log, 5, 3)
    lose(tmp_path)
    attested(tmp_path, log, 2)
    assert checkpoints(tmp_path)[-1].root == root_of(log)
    assert hashes_path(tmp_path, LOG).stat().st_size == 10 * 32
    assert not any(map(resumption, checkpoints(tmp_path)))


def altered(log: MemoryLog) -> None:
    group = log.groups[-1]
    log.groups[-1] = Leaves(group.first, [*group.leaves[:-1], b"altered"])


def cut(log: MemoryLog) -> None:
    log.groups.pop()


def gap(log: MemoryLog) -> None:
    log.write(2)
    log.groups.append(Leaves(log.next + 1, [b"x"]))


@pytest.mark.parametrize("change", [altered, cut, gap])
def test_an_altered_log_is_not_continued(
    change: Callable[[MemoryLog], None], tmp_path: Path
) -> None:
    log = MemoryLog()
    attested(tmp_path, log, 5, 3)
    change(log)
    with pytest.raises(UsageError) as caught:
        opened(tmp_path, log)
    assert caught.value.code == "ledger_disagrees"


def test_hashes_and_log_that_were_both_altered_are_not_continued(tmp_path: Path) -> None:
    log = MemoryLog()
    attested(tmp_path, log, 5, 3)
    tree_path(tmp_path, LOG).unlink()
    hashes_path(tmp_path, LOG).unlink()
    altered(log)
    with pytest.raises(UsageError, match="are not those that were signed"):
        opened(tmp_path, log)


@pytest.mark.parametrize(
    "lose",
    [
        lambda folder: notes_path(folder, LOG).unlink(),
        lambda folder: notes_path(folder, LOG).write_bytes(b""),
        lambda folder: os.truncate(notes_path(folder, LOG), 200),
        lambda folder: directory_path(folder).unlink(),
        lambda folder: notes_path(folder, LOG).write_bytes(
            b"".join(notes_path(folder, LOG).read_bytes().partition(b"=\n\n")[:1])
        ),
    ],
)
def test_removed_checkpoints_are_not_made_up_for(lose: Damage, tmp_path: Path) -> None:
    log = MemoryLog()
    attested(tmp_path, log, 5, 3)
    lose(tmp_path)
    with pytest.raises(UsageError) as caught:
        opened(tmp_path, log)
    assert caught.value.code == "checkpoints_missing"


def test_a_checkpoint_of_another_key_is_not_continued(tmp_path: Path) -> None:
    log = MemoryLog()
    attested(tmp_path / "a", log, 5)
    opened(tmp_path / "b", log).close()
    notes_path(tmp_path / "b", LOG).write_bytes(notes_path(tmp_path / "a", LOG).read_bytes())
    with pytest.raises(UsageError) as caught:
        opened(tmp_path / "b", log)
    assert caught.value.code == "checkpoint_invalid"


def test_a_key_that_was_there_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    attested(tmp_path, MemoryLog(), 1)
    SigningKeys(tmp_path).path.unlink()
    with pytest.raises(UsageError) as caught:
        opened(tmp_path, MemoryLogOf(1))
    assert caught.value.code == "signing_key_missing"


def test_a_log_goes_on_under_a_new_key(tmp_path: Path) -> None:
    log = MemoryLog()
    attested(tmp_path, log, 2)
    SigningKeys(tmp_path).rotate(NOW_US)
    attested(tmp_path, log, 2)
    assert [one.size for one in checkpoints(tmp_path)] == [0, 2, 2, 4]


def test_a_group_that_comes_too_early_is_not_taken(tmp_path: Path) -> None:
    attestation = opened(tmp_path, MemoryLog())
    assert not attestation.add(Leaves(2, [b"x"]))
    assert attestation.size == 0
    attestation.close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path)
    keys.ensure(NOW_US)
    directory.begin(tmp_path, keys.current())
    notes_path(tmp_path, LOG).mkdir()
    with pytest.raises(UnavailableError, match=r"log_1\.notes"):
        opened(tmp_path, MemoryLog())


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.booleans()), max_size=8))
def test_over_any_crashes_the_last_root_is_that_of_the_log(
    steps: list[tuple[int, bool, bool]],
) -> None:
    import tempfile  # noqa: PLC0415 (a fresh folder for each example)

    with tempfile.TemporaryDirectory() as name:
        log = MemoryLog()
        for size, is_added, is_signed in steps:
            attestation = opened(Path(name), log)
            for group in log.write(size):
                if is_added:
                    attestation.add(group)
            if is_signed and is_added:
                attestation.sign()
            attestation.close()  # nothing is synced: a kill
        opened(Path(name), log).close()
        assert checkpoints(Path(name))[-1].root == root_of(log)
        assert keys_path(Path(name)).exists()
