from pathlib import Path

import pytest

from ringfence.stores.checkpoint.place import notes_path, replace


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    replace(path, b"one")
    replace(path, b"two", is_synced=False)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="directory"):
        replace(tmp_path / "taken", b"three")
    assert [each.name for each in path.parent.iterdir()] == ["file"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["new", "taken"]


def test_a_log_has_files_of_its_name(tmp_path: Path) -> None:
    assert notes_path(tmp_path, "log_1") == tmp_path / "checkpoints" / "log_1.notes"
