import socket
from pathlib import Path

import pytest

from ringfence.cli.demo.stage import Ports, Stage, choose_ports
from ringfence.domain.error import UsageError


def test_default_ports_give_way_when_they_are_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        chosen, given_up = choose_ports(None, 0, Ports(data=port, control=1))
    assert given_up == [port]
    assert chosen == Ports(data=0, control=0)


def test_ports_that_are_asked_for_are_kept_or_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        with pytest.raises(UsageError) as caught:
            choose_ports(port, 0, Ports(data=1, control=2))
    assert caught.value.code == "port_taken"
    chosen, given_up = choose_ports(port, 0, Ports(data=1, control=2))
    assert (chosen.data, given_up) == (port, [])


def test_two_demos_at_once_have_a_model_each(tmp_path: Path) -> None:
    any_port = Ports(data=0, control=0)
    with Stage(tmp_path / "a", any_port) as first, Stage(tmp_path / "b", any_port) as second:
        first.start()
        second.start()
        assert first.model_url != second.model_url
        assert 0 not in {first.ports.data, first.ports.control}
        assert first.ports != second.ports
        assert first.model_url in (tmp_path / "a" / "ringfence.yaml").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UsageError) as caught,
        Stage(tmp_path / "file" / "x", Ports(data=1, control=2)),
    ):
        pass
    assert caught.value.code == "data_folder_unusable"
