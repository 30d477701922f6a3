"""What became of a workspace is told without following anything out of it."""

import hashlib
import os
from pathlib import Path

from tests.sandbox.workspace.held import held

from ringfence.sandbox.workspace.summary import Summary, compare, unseen
from ringfence.sandbox.workspace.tree import Bounds, look


def told(folder: Path, happens: object = None, bounds: Bounds | None = None) -> Summary:
    """What is different after something has happened."""
    with held(folder) as root:
        before = look(root, bounds)
        if callable(happens):
            happens()
        return compare(root, before, look(root, bounds), bounds)


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


def test_a_file_that_grew_since_it_was_looked_at_is_told_without_a_hash(tmp_path: Path) -> None:
    with held(tmp_path) as root:
        before = look(root)
        (tmp_path / "log").write_text("one")
        after = look(root)
        (tmp_path / "log").write_text("one and more")
        [found] = compare(root, before, after).added
    assert (found.size, found.sha256) == (3, "")


def test_a_sparse_file_costs_no_reading(tmp_path: Path) -> None:
    def happens() -> None:
        with (tmp_path / "sparse").open("wb") as file:
            file.truncate(1 << 40)

    assert [(each.size, each.sha256) for each in told(tmp_path, happens).added] == [(1 << 40, "")]


def test_a_file_that_is_elsewhere_too_is_told_where_it_was_changed(tmp_path: Path) -> None:
    work, cache = tmp_path / "work", tmp_path / "cache"
    work.mkdir()
    for name in ("shared", "read", "exchanged", "gone"):
        (work / name).write_text("x")
        cache.mkdir(exist_ok=True)
        (cache / name).hardlink_to(work / name)
    (work / "twice").write_text("x")
    (work / "two").hardlink_to(work / "twice")

    def happens() -> None:
        (work / "shared").write_text("changed")
        (work / "twice").write_text("changed")
        (work / "exchanged").unlink()
        (work / "exchanged").write_text("changed")
        (work / "gone").unlink()

    assert told(work, happens).elsewhere == ["shared"]


def test_a_folder_that_nobody_could_look_at_is_said_so() -> None:
    found = unseen("it is gone")
    assert (found.is_partial, found.trouble) == (True, "it is gone")
