import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.installation import (
    SECRET,
    Installation,
    await_ready,
    environment,
    finish,
    free_port,
    start,
    write_configuration,
)

FREE = ("--port", "0", "--console-port", "0")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_plane_that_is_told_to_stop_ends_well(stopped: Installation, number: int) -> None:
    process = start("up", *stopped.where, *FREE, cwd=stopped.folder)
    ready = await_ready(process)
    assert ready["openai"] == f"http://127.0.0.1:{ready['data_port']}/v1"
    result = finish(process, number)
    assert (result.code, result.out) == (0, "")
    assert "Traceback" not in result.err
    assert SECRET not in result.err


def test_an_interrupt_while_it_is_starting_leaves_no_traceback(stopped: Installation) -> None:
    process = start("up", *stopped.where, *FREE, "--log-level", "debug", cwd=stopped.folder)
    until = time.monotonic() + 60
    while not stopped.data.exists() and time.monotonic() < until:
        time.sleep(0.005)  # the stores are being opened just now
    result = finish(process, signal.SIGINT)
    assert result.code in {0, 130}
    assert "Traceback" not in result.err


def test_a_second_plane_in_one_folder_is_said_clearly(plane: Installation) -> None:
    result = finish(start("up", *plane.where, *FREE, cwd=plane.folder))
    assert result.code == 2
    assert f"another plane is running with the data folder `{plane.data}`" in result.err


def test_a_port_that_is_taken_is_said_clearly(plane: Installation, tmp_path: Path) -> None:
    write_configuration(tmp_path)
    other = Installation(tmp_path)
    for port, console, option in (
        (plane.port, 0, "--port"),
        (0, plane.control_port, "--console-port"),
    ):
        ports = ("--port", str(port), "--console-port", str(console))
        result = finish(start("up", *other.where, *ports, cwd=tmp_path))
        assert result.code == 2
        assert "already in use" in result.err.lower()
        assert f"choose another with {option}" in result.err
        assert "Traceback" not in result.err


def test_a_folder_that_another_plane_uses_is_said_clearly(plane: Installation) -> None:
    result = finish(start("up", *plane.where, *FREE, cwd=plane.folder))
    assert result.code == 2
    assert "stop the other plane" in result.err or "stop it first" in result.err
    assert plane.call("status").code == 0


def test_a_wrong_configuration_is_told_as_check_tells_it(stopped: Installation) -> None:
    path = stopped.folder / "ringfence.yaml"
    path.write_text(path.read_text().replace("agents:", "agnets:"))
    result = finish(start("up", *stopped.where, *FREE, cwd=stopped.folder))
    assert result.code == 2
    assert "did you mean `agents`?" in result.err


def test_the_log_level_is_obeyed(stopped: Installation) -> None:
    settings = stopped.folder / "ringfence.yaml"
    ample = settings.read_text().replace("budget: {usd: 1, per: day}", "budget: {usd: 9, per: day}")
    settings.write_text(ample)
    port = free_port()
    ports = ("--port", str(port), "--console-port", "0")
    process = start("up", *stopped.where, *ports, "--log-level", "warning", cwd=stopped.folder)
    assert process.stderr is not None
    first = process.stderr.readline()
    assert '"level": "warning"' in first  # its team has less than this budget
    result = finish(process, signal.SIGTERM)
    assert '"level": "info"' not in result.err


def test_a_person_is_told_the_base_urls_and_how_to_get_a_token(stopped: Installation) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-m", "ringfence", "up", *stopped.where, *FREE],
        env=environment(TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        text = _read_until(master, "ringfence agent token triage")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        os.close(master)
    assert "is serving" in text
    assert "/v1\r\n" in text
    assert "\x1b[1m" in text


def _read_until(master: int, wanted: str) -> str:
    text = ""
    until = time.monotonic() + 60
    while wanted not in text and time.monotonic() < until:
        ready, _, _ = select.select([master], [], [], 0.2)
        if ready:
            text += os.read(master, 65_536).decode()
    return text
