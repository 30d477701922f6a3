from pathlib import Path

import pytest
from tests.cli.installation import call


def test_a_starter_is_written_and_is_good(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    result = call("init", str(path))
    assert result.code == 0
    assert f"ringfence check --config {path}" in result.err
    checked = call("check", "--config", str(path), "--data", str(tmp_path / "data"))
    assert checked.code == 0


def test_the_usual_name_is_taken_and_needs_no_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("init")
    assert (tmp_path / "ringfence.yaml").exists()
    assert "`ringfence check`" in result.err


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("precious")
    result = call("init", str(path))
    assert (result.code, path.read_text()) == (2, "precious")
    assert "exists already" in result.err
