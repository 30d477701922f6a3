import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.installation import Installation, Result, environment, finish, start

VALUE = "sk-canary-0123456789abcdef"
SECRETS = """\
secrets:
  crm: {stored: true, placeholder: CRM_KEY, bind: {host: api.crm.example, as: bearer}}
"""


@pytest.fixture
def configured(stopped: Installation) -> Installation:
    path = stopped.folder / "ringfence.yaml"
    text = path.read_text().replace("    commands: [git]\n", "    secrets: [crm]\n")
    path.write_text(text + SECRETS)
    return stopped


def given(
    installed: Installation, monkeypatch: pytest.MonkeyPatch, value: bytes, *arguments: str
) -> Result:
    """Call a command with something on its standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(value)))
    result = installed.call("secret", *arguments)
    assert VALUE not in result.written
    return result


def holds(folder: Path, value: str) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path.name for path in files if value.encode() in path.read_bytes()]


def test_a_value_is_read_from_standard_input_and_shown_nowhere(
    configured: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = given(configured, monkeypatch, f"{VALUE}\n".encode(), "set", "crm")
    assert (result.code, result.out) == (0, "")
    assert "stored crm, value number 1" in result.err
    assert given(configured, monkeypatch, VALUE.encode(), "rotate", "crm").code == 0
    (listed,) = configured.call("secret", "list", "--json").json()
    assert (listed["name"], listed["generation"], listed["agents"]) == ("crm", 2, ["triage"])
    shown = configured.call("secret", "list").out
    assert "api.crm.example:443" in shown
    assert "triage" in shown
    assert holds(configured.data, VALUE) == []
    record = configured.call("audit", "export").out
    assert "secret.set" in record
    assert "secret.rotated" in record
    assert VALUE not in record


def test_a_value_for_a_secret_that_is_not_configured_says_so(
    configured: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = given(configured, monkeypatch, VALUE.encode(), "set", "other")
    assert "does not name it yet" in result.err


@pytest.mark.parametrize(
    ("value", "arguments", "why"),
    [
        (b"", ("set", "crm"), "there is no value"),
        (b"\n", ("set", "crm"), "there is no value"),
        (b"\xff\xfe", ("set", "crm"), "is not UTF-8"),
        (b"x" * 70_000, ("set", "crm"), "is over 65536 bytes"),
        (VALUE.encode(), ("rotate", "crm"), "no secret named `crm` is stored"),
        (VALUE.encode(), ("set", "CRM"), "cannot be the name"),
        (VALUE.encode(), ("rotate",), "give the name of a secret, or `--key`"),
        (VALUE.encode(), ("rotate", "crm", "--key"), "give the name of a secret, or `--key`"),
        (VALUE.encode(), ("set", "crm", VALUE), "never given on the command line"),
    ],
)
def test_wrong_use_is_said_and_nothing_is_stored(
    configured: Installation,
    monkeypatch: pytest.MonkeyPatch,
    value: bytes,
    arguments: tuple[str, ...],
    why: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(value)))
    result = configured.call("secret", *arguments)
    assert result.code == 2
    assert why in result.err.lower() or why in result.err
    assert configured.call("secret", "list", "--json").json()[0]["generation"] is None


def test_a_value_on_the_command_line_is_refused_and_not_repeated(configured: Installation) -> None:
    result = configured.call("secret", "set", "crm", VALUE)
    assert (result.code, result.out) == (2, "")
    assert "never given on the command line" in result.err
    assert VALUE not in result.err


def test_a_name_like_one_that_is_configured_is_said_to_be(
    configured: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = given(configured, monkeypatch, VALUE.encode(), "set", "crn").err
    assert "if you meant `crm`: `ringfence secret delete crn`" in said
    assert "if you meant" not in given(configured, monkeypatch, VALUE.encode(), "set", "other").err


def test_a_deleted_value_is_gone(configured: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    given(configured, monkeypatch, VALUE.encode(), "set", "crm")
    assert configured.call("secret", "delete", "crm").code == 0
    assert configured.call("secret", "delete", "crm").code == 2
    (listed,) = configured.call("secret", "list", "--json").json()
    assert listed["generation"] is None


def test_the_key_itself_is_renewed(
    configured: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(configured, monkeypatch, VALUE.encode(), "set", "crm")
    key = configured.data / "keys" / "secret.key"
    before = key.read_bytes()
    result = configured.call("secret", "rotate", "--key")
    assert "1 encrypted with a fresh key" in result.err
    assert before not in key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    assert given(configured, monkeypatch, VALUE.encode(), "rotate", "crm").code == 0


def test_no_secrets_are_said_to_be_none(stopped: Installation) -> None:
    result = stopped.call("secret", "list")
    assert (result.code, result.out) == (0, "")
    assert "no secrets yet" in result.err


def test_a_prompt_shows_nothing_of_what_is_typed(configured: Installation) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-m", "ringfence", "secret", "set", "crm", *configured.where],
        env=environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    for asked in (b"value of crm", b"confirm"):
        while asked not in shown.lower():
            shown += os.read(ours, 1000)
        os.write(ours, VALUE.encode() + b"\n")
        shown += b"|"
    while process.poll() is None or b"stored crm" not in shown:
        try:
            shown += os.read(ours, 1000)
        except OSError:  # how Linux tells the end of a terminal
            break
    assert process.wait(60) == 0
    os.close(ours)
    assert VALUE.encode() not in shown
    assert b"stored crm" in shown


def test_a_running_plane_uses_a_value_at_once_and_shows_it_nowhere(
    configured: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(
        "up", *configured.where, "--port", "0", "--console-port", "0", cwd=configured.folder
    )
    try:
        assert process.stderr is not None
        log = ""
        while '"ready"' not in log:
            log += process.stderr.readline()
        listed = configured.call("secret", "list", "--json").json()
        assert listed[0]["trouble"] == "secret `crm` has no value"
        assert given(configured, monkeypatch, VALUE.encode(), "set", "crm").code == 0
        assert configured.call("secret", "list", "--json").json()[0]["trouble"] == ""
        assert configured.call("reload").code == 0
        assert configured.call("secret", "list", "--json").json()[0]["trouble"] == ""
        assert VALUE not in configured.call("status", "--json").out
    finally:
        ended = finish(process, 15)
    assert "secrets have changed" in ended.err
    assert VALUE not in log + ended.written
    assert holds(configured.data, VALUE) == []
