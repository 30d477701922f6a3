"""What lies below a folder is opened without following a link, whatever its modes are."""

import os
import stat
from pathlib import Path

import pytest
from tests.sandbox.workspace.held import as_ordinary, held

from ringfence.sandbox.workspace.folder import opened, reached, set_mode


def test_no_part_of_a_path_may_be_a_link(tmp_path: Path) -> None:
    outside, work = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    work.mkdir()
    (outside / "secret").write_text("canary")
    (work / "file").symlink_to(outside / "secret")
    (work / "folder").symlink_to(outside)
    with held(work) as root:
        for path in (b"file", b"folder/secret"):
            with (
                pytest.raises(OSError, match=r"symbolic links|Not a directory"),
                opened(root, path),
            ):
                pass
        with pytest.raises(OSError, match="Not a directory"), reached(root, b"folder"):
            pass


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with held(tmp_path) as root, opened(root, b"pipe") as pipe:
        assert stat.S_ISFIFO(os.fstat(pipe).st_mode)


@pytest.mark.parametrize("mode", [0o000, 0o200, 0o111])
def test_a_file_is_read_whatever_its_mode_and_its_folders_and_keeps_it(
    tmp_path: Path, mode: int
) -> None:
    file = tmp_path / "work" / "a" / "b" / "file"
    file.parent.mkdir(parents=True)
    file.write_text("here")

    def do() -> bytes:
        for each in (file, file.parent, file.parent.parent):
            each.chmod(mode)
        with held(tmp_path / "work") as root, opened(root, b"a/b/file") as descriptor:
            return os.read(descriptor, 10)

    assert as_ordinary(do, tmp_path) == b"here"
    for each in (file.parent.parent, file.parent, file):
        assert each.stat().st_mode & 0o777 == mode


def test_a_root_that_was_locked_is_reached(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "file").write_text("here")

    def do() -> bytes:
        with held(work) as root:
            work.chmod(0)
            with opened(root, b"file") as descriptor:
                return os.read(descriptor, 10)

    assert as_ordinary(do, tmp_path) == b"here"
    assert work.stat().st_mode & 0o777 == 0
    work.chmod(0o700)


def test_a_mode_is_set_of_what_may_not_be_read_and_of_no_links_aim(tmp_path: Path) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    outside.write_text("")
    outside.chmod(0o644)
    (work / "program").write_text("")
    (work / "link").symlink_to(outside)

    def do() -> None:
        (work / "program").chmod(0o111)
        with held(work) as root:
            set_mode(root, b"program", 0o600)
            set_mode(root, b"link", 0o600)

    as_ordinary(do, tmp_path)
    assert (work / "program").stat().st_mode & 0o777 == 0o600
    assert outside.stat().st_mode & 0o777 == 0o644
