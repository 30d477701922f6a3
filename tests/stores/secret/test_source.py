import os
import stat
from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.domain.secret import FromCommand
from ringfence.stores.secret import StoredSecrets, WrappingKeys
from ringfence.stores.secret.source import (
    CommandSource,
    EnvironmentSource,
    FileSource,
    SecretSource,
    StoredSource,
)
from ringfence.stores.secret.wrapping_key import default_path
from ringfence.stores.state.store import open_state

VALUE = "canary-0123456789"
PLACE = {"PATH": os.environ["PATH"], "OTHER": VALUE}


def fetched(source: SecretSource) -> str | None:
    secret = source.fetch()
    return None if secret is None else secret.reveal()


def failed(source: SecretSource) -> UsageError:
    with pytest.raises(UsageError) as caught:
        source.fetch()
    assert VALUE not in f"{caught.value.message}{caught.value.help}"
    return caught.value


def command(*words: str, refresh_s: float | None = None) -> CommandSource:
    return CommandSource("crm", FromCommand(command=words, refresh_s=refresh_s), PLACE)


def test_a_variable_is_taken() -> None:
    source = EnvironmentSource("OTHER", PLACE)
    assert fetched(source) == VALUE
    assert (source.has_changed(), source.refresh_s) == (False, None)
    assert failed(EnvironmentSource("ABSENT", PLACE)).code == "secret_missing"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_is_taken_without_its_last_line_end(tmp_path: Path, end: str) -> None:
    path = tmp_path / "key"
    path.write_bytes((VALUE + end).encode())
    assert fetched(FileSource("crm", path)) == VALUE


def test_a_file_that_is_replaced_has_changed(tmp_path: Path) -> None:
    path, new = tmp_path / "key", tmp_path / "new"
    path.write_text(VALUE)
    source = FileSource("crm", path)
    assert source.has_changed()
    source.fetch()
    assert not source.has_changed()
    new.write_text(VALUE[::-1])
    new.replace(path)
    assert source.has_changed()
    assert fetched(source) == VALUE[::-1]
    path.unlink()
    assert source.has_changed()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: no such file"),
        (b"", "gives nothing"),
        (b"\n", "gives nothing"),
        (VALUE.encode() + b"\xff", "gives no UTF-8 text"),
        (b"x" * 70_000, "gives over 65536 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_said(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    error = failed(FileSource("crm", path))
    assert (error.code, why in error.message) == ("secret_file", True)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert failed(FileSource("crm", tmp_path)).code == "secret_file"


def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    os.mkfifo(path)
    assert "is not a regular file" in failed(FileSource("crm", path)).message


def test_a_program_that_prints_without_end_is_ended_and_fills_no_memory() -> None:
    assert "gives over 65536 bytes" in failed(command("yes", VALUE)).message


def test_a_program_that_closes_its_output_and_goes_on_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ringfence.stores.secret.source.COMMAND_S", 0.1)
    assert "has not ended" in failed(command("sh", "-c", "exec >&-; exec sleep 60")).message


def test_what_a_program_prints_is_taken() -> None:
    assert fetched(command("printf", VALUE + "\\n")) == VALUE
    assert command("true", refresh_s=60).refresh_s == 60


def test_a_program_sees_little_of_the_environment_and_no_shell() -> None:
    assert fetched(command("sh", "-c", "echo ${OTHER:-nothing}")) == "nothing"
    assert fetched(command("echo", "$PATH; id")) == "$PATH; id"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("sh", "-c", f"echo {VALUE} >&2; exit 3"), "ended with exit code 3"),
        (("true",), "gives nothing"),
        (("no-such-program-anywhere",), "cannot be run: no such file"),
    ],
)
def test_a_program_that_fails_is_said_without_its_words(words: tuple[str, ...], why: str) -> None:
    error = failed(command(*words))
    assert (error.code, why in error.message) == ("secret_command", True)


def test_a_program_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.stores.secret.source.COMMAND_S", 0.1)
    assert "has not ended" in failed(command("sleep", "60")).message


def test_a_stored_value_is_taken_and_none_is_none(tmp_path: Path) -> None:
    state = open_state(tmp_path / "data")
    keys = WrappingKeys(default_path(tmp_path / "data"))
    stored = StoredSecrets(state.secrets, keys, lambda: 1)
    assert StoredSource(stored, "org_1", "crm").fetch() is None
    stored.put("org_1", "crm", VALUE)
    assert fetched(StoredSource(stored, "org_1", "crm")) == VALUE
    assert StoredSource(stored, "org_2", "crm").fetch() is None
    assert StoredSource(stored, "", "crm").fetch() is None
    state.close()
    assert stat.S_IMODE(default_path(tmp_path / "data").stat().st_mode) == 0o600
