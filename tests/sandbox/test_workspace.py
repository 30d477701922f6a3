"""What became of a workspace is told without following anything out of it."""

import hashlib
import os
from pathlib import Path

import pytest

from ringfence.sandbox.workspace import Bounds, Summary, compare, look, open_below


def told(folder: Path, happens: object = None, bounds: Bounds | None = None) -> Summary:
    """What is different after something has happened."""
    before = look(folder, bounds)
    if callable(happens):
        happens()
    return compare(folder, before, look(folder, bounds), bounds)


def test_what_is_new_different_and_gone_is_told_with_sizes_and_hashes(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("same")
    (tmp_path / "edited").write_text("before")
    (tmp_path / "deleted").write_text("x")
    (tmp_path / "src").mkdir()

    def happens() -> None:
        (tmp_path / "edited").write_text("after it")
        (tmp_path / "deleted").unlink()
        (tmp_path / "src" / "new.sh").write_text("#!/bin/sh\n")
        (tmp_path / "src" / "new.sh").chmod(0o755)

    found = told(tmp_path, happens)
    [added], [changed] = found.added, found.changed
    assert (added.path, added.size, added.is_executable) == ("src/new.sh", 10, True)
    assert (changed.path, changed.sha256) == ("edited", hashlib.sha256(b"after it").hexdigest())
    assert found.removed == ["deleted"]
    assert (found.counts.added, found.counts.changed, found.counts.removed) == (1, 1, 1)
    assert not found.is_partial


def test_nothing_is_told_where_nothing_happened(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    found = told(tmp_path)
    assert (found.added, found.changed, found.removed) == ([], [], [])


def test_a_time_that_was_set_back_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    state = path.stat()

    def happens() -> None:
        path.write_text("two")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    assert [each.path for each in told(tmp_path, happens).changed] == ["a"]


def test_no_link_is_followed(tmp_path: Path) -> None:
    outside, work = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    work.mkdir()
    (outside / "secret").write_text("canary")

    def happens() -> None:
        (work / "file").symlink_to(outside / "secret")
        (work / "folder").symlink_to(outside)

    found = told(work, happens)
    assert [(each.path, each.kind, each.sha256) for each in found.added] == [
        ("file", "link", ""),
        ("folder", "link", ""),
    ]
    root = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path in (b"file", b"folder/secret"):
            with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
                open_below(root, path)
    finally:
        os.close(root)


def test_what_is_no_file_does_not_hold_anybody_up(tmp_path: Path) -> None:
    found = told(tmp_path, lambda: os.mkfifo(tmp_path / "pipe"))
    assert [(each.path, each.kind) for each in found.added] == [("pipe", "other")]


def test_names_that_are_no_text_are_told_all_the_same(tmp_path: Path) -> None:
    def happens() -> None:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")).write_text("x")

    assert [each.path for each in told(tmp_path, happens).added] == ["\\xff\\xfe"]


def test_too_much_is_left_out_and_said_so(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}").write_text("x")
    found = told(tmp_path, lambda: (tmp_path / "99").write_text("x"), Bounds(entries=10))
    assert found.is_partial
    assert found.removed == []
    deep = tmp_path
    for _ in range(6):
        deep /= "d"
        deep.mkdir()
    assert look(tmp_path, Bounds(depth=3)).is_partial


def test_a_flood_hides_nothing_where_somebody_would_look(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("x")
    before = look(tmp_path)
    for number in range(30):
        (tmp_path / f"!{number:02}").write_text("x")
        (tmp_path / f"!folder{number:02}").mkdir()
    for folder in (tmp_path, tmp_path / "src"):
        (folder / ".claude").mkdir()
        (folder / ".claude" / "settings.json").write_text("{}")
    (tmp_path / "src" / "a.py").write_text("changed")
    found = look(tmp_path, Bounds(entries=10), before)
    assert found.is_partial
    assert {b".claude/settings.json", b"src/.claude", b"src/a.py"} <= found.entries.keys()


def test_a_folder_that_is_too_deep_is_left_out_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "!" / "d" / "d" / "d" / "d").mkdir(parents=True)
    (tmp_path / ".envrc").write_text("x")
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "mise.toml").write_text("x")
    found = look(tmp_path, Bounds(depth=2))
    assert found.is_partial
    assert {b".envrc", b"z/mise.toml", b"!/d"} <= found.entries.keys()


def test_a_folder_that_cannot_be_read_is_said_to_be_left_out(tmp_path: Path) -> None:
    work, is_root = tmp_path / "work", os.geteuid() == 0
    (work / "locked" / ".claude").mkdir(parents=True)
    (work / "locked").chmod(0o300)
    if is_root:  # no mode holds root back
        for each in (tmp_path, *tmp_path.parents[:2]):
            each.chmod(0o755)
        os.seteuid(65534)
    try:
        assert look(work).is_partial
    finally:
        if is_root:
            os.seteuid(0)
        (work / "locked").chmod(0o700)


def test_lists_hold_the_first_of_many_and_counts_hold_all(tmp_path: Path) -> None:
    def happens() -> None:
        for number in range(9):
            (tmp_path / str(number)).write_text("x")

    found = told(tmp_path, happens, Bounds(listed=4))
    assert [each.path for each in found.added] == ["0", "1", "2", "3"]
    assert found.counts.added == 9


def test_large_files_are_told_by_their_size_alone(tmp_path: Path) -> None:
    found = told(
        tmp_path, lambda: (tmp_path / "big").write_bytes(b"x" * 100), Bounds(hashed_bytes=50)
    )
    assert [(each.size, each.sha256) for each in found.added] == [(100, "")]
