"""What is no workspace is refused in words that say why, before anything is asked of the plane."""

import os
from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.sandbox.workspace.choice import chosen


def refused(named: str | None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        chosen(named)
    assert caught.value.code == "bad_workspace"
    assert caught.value.help
    return caught.value


def test_the_present_folder_is_meant_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert chosen(None) == str(Path.cwd())
    (tmp_path / "inner").mkdir()
    assert chosen("inner/../inner/") == f"{Path.cwd()}/inner"


@pytest.mark.parametrize("named", ["", "  ", "\n"])
def test_an_empty_name_names_no_folder(named: str) -> None:
    assert refused(named).message == "no folder is named for the workspace"


def test_a_present_folder_that_is_gone_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert refused(None).message == "the present folder does not exist any more"


def test_what_is_no_folder_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(f"{tmp_path}/file").message == f"`{tmp_path}/file` is not a folder"
    missing = refused(f"{tmp_path}/missing")
    assert missing.message == f"`{tmp_path}/missing` cannot be opened: no such file or directory"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("new\nline", "a control character stands in `{}/new\\nline`"),
        ("e\x1b[31m", "a control character stands in `{}/e\\x1b[31m`"),
        ("\udcff", "`{}/\\udcff` is not UTF-8"),
    ],
)
def test_a_name_that_no_terminal_can_show_is_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/" + os.fsencode(name))  # noqa: PTH102 (bytes)
    assert refused(f"{tmp_path}/{name}").message == message.format(tmp_path)


def test_a_path_that_is_too_long_is_refused() -> None:
    assert refused("/x" * 3000).message.endswith("is longer than a path may be")


def test_a_link_stays_to_be_refused_by_whoever_confines(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert chosen(f"{tmp_path}/link") == f"{tmp_path}/link"
