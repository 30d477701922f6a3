from pathlib import Path

import pytest

from ringfence.api import local
from ringfence.domain.error import UsageError


def test_the_socket_lies_in_the_data_folder_for_its_owner_alone(tmp_path: Path) -> None:
    with local.bind(tmp_path):
        mode = (tmp_path / local.FILE).stat().st_mode
    assert mode & 0o777 == 0o600


def test_a_leftover_socket_file_is_replaced(tmp_path: Path) -> None:
    local.bind(tmp_path).close()
    assert not local.is_answering(local.address(tmp_path))
    with local.bind(tmp_path) as bound:
        bound.listen()
        assert local.is_answering(local.address(tmp_path))


def test_a_running_plane_is_not_replaced(tmp_path: Path) -> None:
    with local.bind(tmp_path) as bound:
        bound.listen()
        with pytest.raises(UsageError) as caught:
            local.bind(tmp_path)
        assert caught.value.code == "plane_running"
        assert local.is_answering(local.address(tmp_path))


def test_a_deep_folder_is_reached_from_nearby_or_refused_with_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        local.address(deep)
    assert caught.value.code == "socket_path_too_long"
    monkeypatch.chdir(deep)
    with local.bind(deep) as bound:
        bound.listen()
        assert local.is_answering(local.address(deep))


def test_a_folder_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        local.bind(tmp_path / "nowhere")
    assert caught.value.code == "data_folder_unusable"
