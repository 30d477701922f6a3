"""A setting is given in one call, and to what is there."""

from pathlib import Path

import pytest

from ringfence.transport.kernel import setting


def test_a_text_is_written_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "setting"
    file.touch()
    setting.write(str(file), "deny")
    assert file.read_bytes() == b"deny"


def test_nothing_is_made_where_there_is_no_such_setting(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        setting.write(str(tmp_path / "none"), "1")
    assert not (tmp_path / "none").exists()
