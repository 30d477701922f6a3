from pathlib import Path

import pytest
from tests.cli.installation import Installation

from ringfence.cli.doctor.store import stores


def bad(folder: Path) -> list[str]:
    return [found.what for found in stores(folder) if found.level == "bad"]


@pytest.fixture
def folder(stopped: Installation) -> Path:
    stopped.call("agent", "suspend", "triage")
    return stopped.data


def test_whole_stores_are_told_of_in_one_line(folder: Path) -> None:
    assert bad(folder) == []
    assert "store files are whole" in [found.what for found in stores(folder)][1]


def test_a_page_that_was_overwritten_is_found(folder: Path) -> None:
    path = folder / "state.db"
    data = bytearray(path.read_bytes())
    assert len(data) > 8192
    data[4096:8192] = b"\xff" * 4096
    path.write_bytes(data)
    (path.with_name("state.db-wal")).unlink(missing_ok=True)
    assert any("is damaged" in what for what in bad(folder))


def test_nothing_is_said_of_what_is_not_there(tmp_path: Path) -> None:
    assert list(stores(tmp_path)) == []
