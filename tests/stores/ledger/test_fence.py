import multiprocessing
import stat
from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.stores.ledger.fence import Fence, log_ids, log_path
from ringfence.stores.ledger.log import open_log


def _try_to_take(folder: str) -> str:
    try:
        Fence.take(Path(folder), "log_1")
    except UsageError as error:
        return error.code
    return "taken"


def test_a_second_process_is_refused_and_told_why(tmp_path: Path) -> None:
    fence = Fence.take(tmp_path, "log_1")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_try_to_take, (str(tmp_path),)) == "log_in_use"
    with pytest.raises(UsageError) as caught:
        Fence.take(tmp_path, "log_1")
    assert "`log_1`" in caught.value.message
    assert "--data" in caught.value.help
    fence.release()


def test_a_released_log_can_be_taken_again(tmp_path: Path) -> None:
    fence = Fence.take(tmp_path, "log_1")
    fence.release()
    fence.release()
    Fence.take(tmp_path, "log_1").release()


def test_logs_are_fenced_one_by_one(tmp_path: Path) -> None:
    one, other = Fence.take(tmp_path, "log_1"), Fence.take(tmp_path, "log_2")
    one.release()
    other.release()


def test_a_log_that_was_written_and_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    fence = Fence.take(tmp_path, "log_1")
    open_log(fence).close()
    fence.release()
    log_path(tmp_path, "log_1").unlink()
    with pytest.raises(UsageError) as caught:
        Fence.take(tmp_path, "log_1")
    assert caught.value.code == "store_damaged"
    assert log_ids(tmp_path) == []


def test_only_the_owner_may_enter(tmp_path: Path) -> None:
    fence = Fence.take(tmp_path / "data", "log_1")
    open_log(fence).close()
    folder = tmp_path / "data" / "ledger"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert log_ids(tmp_path / "data") == ["log_1"]
    fence.release()
