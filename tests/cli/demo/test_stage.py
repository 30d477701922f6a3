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
    assert chosen.data not in {0, port}
    assert chosen.control not in {0, 1}


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


def test_a_folder_that_cannot_be_made_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UsageError) as caught,
        Stage(tmp_path / "file" / "x", Ports(data=1, control=2)),
    ):
        pass
    assert caught.value.code == "data_folder_unusable"
