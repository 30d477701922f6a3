from pathlib import Path

import pytest
from tests.tools import tool

from ringfence.analysis.tool_lock import read, write
from ringfence.config.loading import load
from ringfence.config.problem import ConfigurationError
from ringfence.config.tool_lock import lock_path

_TEXT = "format: 1\norganisation: acme\ntools:\n  crm: {url: https://crm.example/mcp}\n"


def _configured(folder: Path) -> Path:
    path = folder / "ringfence.yaml"
    path.write_text(_TEXT, encoding="utf-8")
    return path


def test_the_lock_stands_beside_the_configuration(tmp_path: Path) -> None:
    path = _configured(tmp_path)
    assert lock_path(path) == tmp_path / "ringfence.tools.lock"
    without = load(path, {}).configuration
    assert without.organisations["acme"].tool_lock is None
    data = write({"crm": [tool("get")]})
    lock_path(path).write_bytes(data)
    locked = load(path, {}).configuration
    assert locked.organisations["acme"].tool_lock == read(data)
    assert locked.digest != without.digest


def test_a_lock_that_cannot_be_read_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    path = _configured(tmp_path)
    lock_path(path).write_bytes(b"{")
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})
    [problem] = caught.value.problems
    assert problem.place.file == str(tmp_path / "ringfence.tools.lock")
    assert problem.what.startswith("cannot be read: ")
    lock_path(path).unlink()
    lock_path(path).mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(path, {})


def test_each_organisation_has_a_lock_of_its_own(tmp_path: Path) -> None:
    path = _configured(tmp_path)
    (tmp_path / "organisations").mkdir()
    further = tmp_path / "organisations" / "other.yaml"
    further.write_text(_TEXT.replace("acme", "other"), encoding="utf-8")
    lock_path(further).write_bytes(write({"crm": []}))
    organisations = load(path, {}).configuration.organisations
    assert organisations["acme"].tool_lock is None
    assert organisations["other"].tool_lock == {"crm": ()}
