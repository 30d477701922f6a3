"""What would run later on the host is set aside, and what was there before is there again."""

import errno
import os
import resource
from pathlib import Path

import pytest
from tests.sandbox.workspace.held import as_ordinary, held
from tests.sandbox.workspace.leaving import MARK, after, write

from ringfence.sandbox.workspace.late_code import LateCode, find, keep
from ringfence.sandbox.workspace.quarantine import SetAside, set_aside
from ringfence.sandbox.workspace.tree import look


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", "deep/er/.claude/settings.json"])
def test_what_runs_by_itself_is_moved_beside_and_can_run_no_more(tmp_path: Path, path: str) -> None:
    [found] = after(tmp_path, lambda: write(tmp_path / path))
    assert (found.path, found.moved_to) == (path, f"{path}.quarantined-sbx_1")
    assert found.why
    assert not (tmp_path / path).exists()
    moved = tmp_path / found.moved_to
    assert moved.read_text() == "evil"
    assert moved.stat().st_mode & 0o777 == 0o600


def test_what_was_there_before_is_put_back(tmp_path: Path) -> None:
    hook = tmp_path / ".git/hooks/pre-commit"
    write(hook, "mine", 0o750)
    [found] = after(tmp_path, lambda: write(hook, "evil"))
    assert found.is_restored
    assert (hook.read_text(), hook.stat().st_mode & 0o777) == ("mine", 0o750)
    assert (tmp_path / found.moved_to).read_text() == "evil"


def test_what_is_put_back_lends_nobody_our_rights(tmp_path: Path) -> None:
    hook = tmp_path / ".git/hooks/pre-commit"
    write(hook, "mine", 0o6755)

    def happens() -> None:
        hook.unlink()
        write(hook, "evil")

    [found] = after(tmp_path, happens)
    assert found.is_restored
    assert (hook.read_text(), hook.stat().st_mode & 0o7777) == ("mine", 0o755)


def test_a_link_to_a_file_outside_is_moved_and_the_file_is_not_touched(tmp_path: Path) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    write(outside, "host", 0o644)
    [found] = after(work, lambda: (work / ".envrc").symlink_to(outside))
    assert found.moved_to
    assert (outside.read_text(), outside.stat().st_mode & 0o777) == ("host", 0o644)


def test_a_link_that_was_there_before_leads_where_it_led(tmp_path: Path) -> None:
    link = tmp_path / ".envrc"
    link.symlink_to("mine")

    def happens() -> None:
        link.unlink()
        link.symlink_to("evil")

    [found] = after(tmp_path, happens)
    assert found.is_restored
    assert link.readlink() == Path("mine")


def test_what_cannot_be_moved_is_said_so(tmp_path: Path) -> None:
    with held(tmp_path) as root:
        before = keep(root, look(root), 0)
        write(tmp_path / ".envrc")
        found = find(root, before, look(root))
        os.unlink(tmp_path / ".envrc")  # noqa: PTH108 (what a neighbour does)
        [left] = set_aside(root, found, before, MARK)
    assert (left.moved_to, left.is_restored) == ("", False)


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_name_that_the_agent_has_taken_already_keeps_nothing_in_its_place(
    tmp_path: Path, *, is_folder: bool
) -> None:
    taken = tmp_path / f".envrc.quarantined-{MARK}"

    def happens() -> None:
        write(tmp_path / ".envrc")
        if is_folder:
            taken.mkdir()
        else:
            taken.write_text("kept")

    [found] = after(tmp_path, happens)
    assert not (tmp_path / ".envrc").exists()
    assert found.moved_to.startswith(f".envrc.quarantined-{MARK}-")
    assert (tmp_path / found.moved_to).read_text() == "evil"
    assert taken.is_dir() if is_folder else taken.read_text() == "kept"


def test_a_name_of_the_greatest_length_is_moved_to_a_shorter_one(tmp_path: Path) -> None:
    names = [f".opencode/plugin/{'x' * 250}{number}.js" for number in (1, 2)]

    def happens() -> None:
        for each in names:
            write(tmp_path / each)

    found = after(tmp_path, happens)
    assert [each.path for each in found] == names
    moved = {each.moved_to for each in found}
    assert len(moved) == 2
    assert all(each.endswith(f".quarantined-{MARK}") for each in moved)
    assert all((tmp_path / each).exists() for each in moved)


@pytest.mark.parametrize("mode", [0o555, 0o300, 0o000])
def test_a_folder_that_was_locked_keeps_nothing_in_its_place(tmp_path: Path, mode: int) -> None:
    work = tmp_path / "work"
    work.mkdir()

    def happens() -> None:
        write(work / "a/b/.envrc", mode=0o111)
        for each in (work / "a/b", work / "a"):
            each.chmod(mode)

    def do() -> list[SetAside]:
        return after(work, happens)

    [found] = as_ordinary(do, tmp_path)
    assert found.moved_to == f"a/b/.envrc.quarantined-{MARK}"
    assert (work / "a").stat().st_mode & 0o777 == mode
    assert (work / "a/b").stat().st_mode & 0o777 == mode
    assert not (work / "a/b/.envrc").exists()
    assert (work / found.moved_to).stat().st_mode & 0o777 == 0o600


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_where_there_is_no_room_for_another_name_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with what an agent has put there beside; what was there before is put back."""
    write(tmp_path / "old/.envrc", "mine")

    def happens() -> None:
        write(tmp_path / "new/.envrc")
        write(tmp_path / "old/.envrc")
        (tmp_path / "link").mkdir()
        (tmp_path / "link/.envrc").symlink_to("../new/.envrc")
        monkeypatch.setattr(os, "rename", _full)

    found = after(tmp_path, happens)
    told = [(each.path, each.moved_to, each.is_removed, each.is_restored) for each in found]
    assert told == [
        ("link/.envrc", "", True, False),
        ("new/.envrc", "", True, False),
        ("old/.envrc", "", True, True),
    ]
    assert list((tmp_path / "new").iterdir()) == list((tmp_path / "link").iterdir()) == []
    assert (tmp_path / "old/.envrc").read_text() == "mine"


def test_where_there_is_no_room_what_was_there_is_written_into_the_file_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / ".git/hooks/pre-commit"
    write(hook, "mine", 0o750)
    inode = hook.stat().st_ino
    unlinked: list[object] = []

    def happens() -> None:
        write(hook, "evil, and longer", 0o777)
        monkeypatch.setattr(os, "rename", _full)
        monkeypatch.setattr(os, "unlink", lambda name, **_: unlinked.append(name))

    [found] = after(tmp_path, happens)
    assert (found.moved_to, found.is_removed, found.is_restored) == ("", True, True)
    assert (hook.read_text(), hook.stat().st_mode & 0o7777) == ("mine", 0o750)
    assert (hook.stat().st_ino, unlinked) == (inode, [])


def test_what_cannot_be_renamed_for_another_reason_is_disarmed_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / ".git/hooks/pre-commit"
    write(hook, "mine", 0o750)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def happens() -> None:
        write(hook, "evil")
        monkeypatch.setattr(os, "rename", refuse)

    [found] = after(tmp_path, happens)
    assert (found.moved_to, found.is_removed, found.is_restored) == ("", False, False)
    assert hook.stat().st_mode & 0o7777 == 0
    hook.chmod(0o600)
    assert hook.read_text() == "evil"


def test_a_folder_without_room_for_another_name_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / ".vscode/tasks.json")
    monkeypatch.setattr(os, "rename", _full)
    late = LateCode(path=b".vscode", why="crowded")
    with held(tmp_path) as root:
        [found] = set_aside(root, [late], keep(root, look(root), 0), MARK)
    assert (found.moved_to, found.is_removed) == ("", False)
    assert (tmp_path / ".vscode").stat().st_mode & 0o777 == 0


def test_what_cannot_be_put_back_whole_is_not_put_back_at_all(tmp_path: Path) -> None:
    hook = tmp_path / "sub/.git/hooks/pre-commit"
    write(hook, "#!/bin/sh\n" + "true\n" * 2_000, 0o755)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def happens() -> None:
        write(hook, "evil")
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))  # as a full file system

    try:
        [found] = after(tmp_path, happens)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (found.is_restored, bool(found.moved_to)) == (False, True)
    assert not hook.exists()
