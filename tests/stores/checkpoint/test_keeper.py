"""The thread that signs: everything that was handed over is covered, whatever fails meanwhile."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.stores.checkpoint.signing import NOW_US, MemoryLog, checkpoints, opened, stated

from ringfence.protocols import note
from ringfence.protocols.checkpoint import resumption
from ringfence.protocols.signature import holds
from ringfence.stores.checkpoint import Keeper, SigningKeys
from ringfence.stores.checkpoint.attestation import Leaves
from ringfence.stores.checkpoint.keeper import Packed
from ringfence.stores.checkpoint.place import hashes_path, tree_path


def started(folder: Path, log: MemoryLog) -> Keeper:
    return Keeper.start(opened(folder, log), lambda: NOW_US)


def packed(group: Leaves) -> Packed:
    return Packed(group.first, len(group.leaves), b"\n".join(group.leaves))


def hand_over(keeper: Keeper, log: MemoryLog, *sizes: int) -> None:
    for group in log.write(*sizes):
        keeper.append(packed(group))


def wait_for(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_a_lone_group_is_signed_at_once(tmp_path: Path) -> None:
    log = MemoryLog()
    keeper = started(tmp_path, log)
    hand_over(keeper, log, 3)
    wait_for(lambda: stated(keeper.latest).size == 3)
    keeper.close()
    assert [one.size for one in checkpoints(tmp_path)] == [0, 3]


def test_all_that_was_handed_over_is_covered_at_the_end_by_few_signatures(tmp_path: Path) -> None:
    log = MemoryLog()
    keeper = started(tmp_path, log)
    began_s = time.monotonic()
    for _ in range(500):
        hand_over(keeper, log, 7)
    keeper.close()
    signed = checkpoints(tmp_path)
    assert signed[-1].size == 3500
    assert len(signed) <= 3 + (time.monotonic() - began_s) / 0.02
    assert not any(map(resumption, signed))
    assert tree_path(tmp_path, "log_1").exists()


def test_an_idle_log_gets_no_further_checkpoints(tmp_path: Path) -> None:
    log = MemoryLog()
    keeper = started(tmp_path, log)
    time.sleep(0.1)
    keeper.close()
    assert [one.size for one in checkpoints(tmp_path)] == [0]


def test_a_missed_group_is_read_from_the_log(tmp_path: Path) -> None:
    log = MemoryLog()
    keeper = started(tmp_path, log)
    _, second = log.write(3, 4)
    keeper.append(packed(second))
    keeper.close()
    (_, signed) = checkpoints(tmp_path)
    assert signed.size == 7
    late = resumption(signed)
    assert late is not None
    assert late.size == 0


def test_a_failure_shows_and_is_made_good_later(tmp_path: Path) -> None:
    log = MemoryLog()
    keeper = started(tmp_path, log)
    SigningKeys(tmp_path).path.chmod(0o644)
    hand_over(keeper, log, 3)
    wait_for(lambda: keeper.failure is not None)
    hand_over(keeper, log, 2)
    SigningKeys(tmp_path).path.chmod(0o600)
    wait_for(lambda: keeper.failure is None)
    keeper.close()
    signed = checkpoints(tmp_path)[-1]
    assert signed.size == 5
    assert resumption(signed) is not None


def test_so_many_groups_that_they_are_let_go_are_read_from_the_log(tmp_path: Path) -> None:
    log = MemoryLog()
    keeper = started(tmp_path, log)
    secret = SigningKeys(tmp_path).path
    secret.chmod(0o644)
    hand_over(keeper, log, 1)
    wait_for(lambda: keeper.failure is not None)
    for group in log.write(*[1] * 10_100):
        keeper.append(packed(group))
    assert len(keeper._groups) <= 10_000  # noqa: SLF001 (the bound is what is tested)
    secret.chmod(0o600)
    keeper.close()
    assert checkpoints(tmp_path)[-1].size == 10_101
    assert hashes_path(tmp_path, "log_1").stat().st_size == 10_101 * 32


def test_a_group_that_is_no_continuation_is_shown(tmp_path: Path) -> None:
    log = MemoryLog()
    keeper = started(tmp_path, log)
    log.groups.append(Leaves(5, [b"x"]))
    keeper.append(packed(log.groups[-1]))
    wait_for(lambda: keeper.failure is not None)
    assert keeper.failure is not None
    assert keeper.failure.code == "ledger_disagrees"
    keeper.close()


def test_an_idle_log_is_vouched_for_with_a_new_key_within_a_moment(tmp_path: Path) -> None:
    log = MemoryLog()
    keeper = started(tmp_path, log)
    hand_over(keeper, log, 3)
    wait_for(lambda: stated(keeper.latest).size == 3)
    before = keeper.latest
    keys = SigningKeys(tmp_path)
    new = keys.rotate(NOW_US)
    wait_for(lambda: keeper.latest != before)
    keeper.close()
    signed = note.parse(keeper.latest)
    assert holds(signed, new.verifier(f"{new.name}/log_1"))
    assert stated(keeper.latest).size == 3
    assert [one.size for one in checkpoints(tmp_path)][-1] == 3
