import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from tests.cli.installation import Installation, call, finish, start

from ringfence.cli.main import cli

HELP_S = 0.8  # generous for a busy machine; the figure itself is in the report of the benchmark


def _spent_s() -> float:
    """What programs that have ended have computed: on a busy machine they wait besides."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def test_help_comes_at_once() -> None:
    seconds = []
    for _ in range(3):
        began = _spent_s()
        subprocess.run(
            [sys.executable, "-m", "ringfence", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        seconds.append(_spent_s() - began)
    assert min(seconds) < HELP_S


def test_help_loads_no_part_of_the_plane() -> None:
    code = (
        "import sys, contextlib\n"
        "from ringfence.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print(sorted({'sqlalchemy', 'starlette', 'uvicorn', 'yaml'} & set(sys.modules)))\n"
    )
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE
    )
    assert done.stdout.decode().endswith("[]\n")


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_every_command_in_the_table_is_there_and_explains_itself(name: str) -> None:
    result = call(name, "--help")
    assert result.code == 0
    assert f"Usage: ringfence {name}" in result.out


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_no_command_of_a_group_is_explained_in_half_a_sentence(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    if isinstance(command, click.Group):
        listed = call(name, "--help").out.partition("Commands:")[2]
        assert "..." not in listed
        assert all(f"  {each} " in listed for each in command.list_commands(click.Context(command)))


def test_a_misspelt_command_gets_the_nearest_one() -> None:
    result = call("tarce")
    assert result.code == 2
    assert result.err == "ringfence: unknown command `tarce`\n  did you mean `trace`?\n"


def test_a_misspelt_command_within_a_group_gets_the_nearest_one() -> None:
    result = call("agent", "lst")
    assert result.code == 2
    assert "did you mean `list`?" in result.err


@pytest.mark.parametrize("name", ["run", "tools", "approval", "eval"])
def test_commands_of_later_versions_are_simply_not_there(name: str) -> None:
    assert call(name).code == 2


def test_no_command_at_all_shows_the_help_and_is_wrong_use() -> None:
    result = call()
    assert result.code == 2
    assert "Commands:" in result.err


def test_an_empty_folder_says_how_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("agent", "list")
    assert result.code == 2
    assert result.err == "ringfence.yaml: no such file\n  `ringfence init` writes a starter\n"
    assert list(tmp_path.iterdir()) == []


def test_a_plane_that_is_needed_and_does_not_run_is_code_3(stopped: Installation) -> None:
    for command in (["status"], ["reload"]):
        result = stopped.call(*command)
        assert result.code == 3
        assert f"no plane is running with data folder `{stopped.data}`" in result.err
        assert "start it with `ringfence up`" in result.err


def test_an_error_cannot_move_the_terminal(plane: Installation) -> None:
    result = plane.call("agent", "show", "no\x1b[31mbody")
    assert result.code == 2
    assert "\x1b" not in result.err
    assert "no␛[31mbody" in result.err


def test_a_reader_that_has_seen_enough_is_no_error(plane: Installation) -> None:
    process = start("audit", "export", *plane.where, cwd=plane.folder)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), err) == (0, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_the_caller_has_closed_is_an_empty_one(closed: str) -> None:
    words = ["sh", "-c", f'exec "$0" -m ringfence --version {closed}', sys.executable]
    done = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603 (our own program)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words", [["agent", "show", b"caf\xe9"], ["run", "--agent", "triage", "echo", b"caf\xe9"]]
)
def test_what_is_no_text_is_said(
    plane: Installation, tmp_path: Path, words: list[str | bytes]
) -> None:
    command = [sys.executable, "-m", "ringfence", *words[:2], *plane.where, *words[2:]]
    if words[0] == "run":
        command = [sys.executable, "-m", "ringfence", "run", *plane.where, *words[1:]]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)  # noqa: S603 (our own program)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ringfence: `caf\\xe9` is not UTF-8\n  ")


def elsewhere(system: str, *words: str, at: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", "tests.cli.other_system", system, *words],
        cwd=at,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("words", [("up",), ("doctor",), ("agent", "list"), ("status",)])
def test_on_windows_a_command_that_needs_a_plane_says_what_works(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    ran = elsewhere("win32", *words, at=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("ringfence: this needs a plane, which works on Linux and macOS")
    assert "WSL 2" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("tier", [(), ("--sandbox", "none"), ("--sandbox", "strict")])
def test_on_windows_run_refuses_in_every_tier_and_says_what_works(
    tmp_path: Path, tier: tuple[str, ...]
) -> None:
    ran = elsewhere("win32", "run", "--agent", "a", *tier, "--", "true", at=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("ringfence: agents cannot be confined on ")
    assert "gateways and the hooks" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr


def test_what_belongs_to_another_user_is_said(
    stopped: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped.data.mkdir(exist_ok=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    for words in (["up"], ["doctor"]):
        result = stopped.call(*words)
        assert result.code in {1, 2}
        assert f"the data folder `{stopped.data}` belongs to another user" in result.written


def test_a_file_that_may_not_be_used_leaves_no_traceback(
    stopped: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "no", "/srv/theirs")

    monkeypatch.setattr(Path, "is_dir", closed)
    result = stopped.call("up")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("ringfence: this user may not use `/srv/theirs`\n")


def test_an_interrupted_command_ends_without_a_traceback(tmp_path: Path) -> None:
    # The demo says its first line before it starts anything, so this comes in the middle of it.
    free = ("--port", "0", "--console-port", "0")
    process = start("demo", "--data", str(tmp_path / "demo"), *free, cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    result = finish(process, signal.SIGINT)
    assert (result.code, result.err.strip()) == (130, "stopped")


def test_ctrl_c_while_it_is_read_in_leaves_no_traceback(tmp_path: Path) -> None:
    # Many short sleeps: a signal just before a long one would wait for its end.
    waits = "import time\nprint('here', flush=True)\nfor _ in range(600):\n    time.sleep(0.1)\n"
    (tmp_path / "click.py").write_text(waits)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-m", "ringfence", "status"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (-signal.SIGINT, "")
