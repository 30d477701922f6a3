from pathlib import Path

from ringfence.app.postgresql import open_storage
from ringfence.testing.ids import SequentialIds


def test_planes_on_one_database_write_logs_of_their_own_and_find_them_again(
    postgresql_url: str, tmp_path: Path
) -> None:
    ids = SequentialIds()
    planes = [open_storage(tmp_path / name, postgresql_url) for name in "ab"]
    logs = planes[0].logs()
    taken = [plane.take_log(logs, ids) for plane in planes]
    beside = planes[0].take_log(logs, ids)  # the same plane twice: a second log of its own
    names = [held.log_id for held in (*taken, beside)]
    assert len(set(names)) == 3
    for held in (*taken, beside):
        held.release()
    again = [plane.take_log(logs, ids) for plane in planes]
    assert [held.log_id for held in again] == [names[2], names[1]]
    assert logs.ids() == sorted(names)
    for held in again:
        held.release()
    logs.close()


def test_a_plane_s_folder_is_its_owner_s_alone_here_too(
    postgresql_url: str, tmp_path: Path
) -> None:
    storage = open_storage(tmp_path / "data", postgresql_url)
    storage.state().close()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
