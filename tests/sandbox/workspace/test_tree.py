"""A folder is looked at without following anything out of it, and within bounds."""

import os
from pathlib import Path

import pytest
from tests.sandbox.workspace.held import as_ordinary, held

from ringfence.sandbox.workspace.tree import Bounds, Snapshot, look, shown


def looked(folder: Path, bounds: Bounds | None = None, known: Snapshot | None = None) -> Snapshot:
    with held(folder) as root:
        return look(root, bounds, known)


def test_a_flood_hides_nothing_where_somebody_would_look(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("x")
    before = looked(tmp_path)
    for number in range(30):
        (tmp_path / f"!{number:02}").write_text("x")
        (tmp_path / f"!folder{number:02}").mkdir()
    for folder in (tmp_path, tmp_path / "src"):
        (folder / ".claude").mkdir()
        (folder / ".claude" / "settings.json").write_text("{}")
    (tmp_path / "src" / "a.py").write_text("changed")
    found = looked(tmp_path, Bounds(entries=10), before)
    assert found.is_partial
    assert {b".claude/settings.json", b"src/.claude", b"src/a.py"} <= found.entries.keys()


def test_a_folder_that_is_too_deep_is_left_out_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "!" / "d" / "d" / "d" / "d").mkdir(parents=True)
    (tmp_path / ".envrc").write_text("x")
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "mise.toml").write_text("x")
    found = looked(tmp_path, Bounds(depth=2))
    assert found.is_partial
    assert {b".envrc", b"z/mise.toml", b"!/d"} <= found.entries.keys()


def test_paths_of_any_length_take_no_more_memory_than_others(tmp_path: Path) -> None:
    folder = tmp_path
    for number in range(6):
        folder /= f"{number}{'d' * 250}"
    folder.mkdir(parents=True)
    (folder / "left-out").write_text("x")
    (tmp_path / ".envrc").write_text("x")
    found = looked(tmp_path)
    assert found.is_partial
    assert max(map(len, found.entries)) < 1_024 + 256
    assert b".envrc" in found.entries
    found = looked(tmp_path, Bounds(path_bytes=300))
    assert found.is_partial
    assert sum(map(len, found.entries)) <= 300
    assert b".envrc" in found.entries


def test_what_is_hidden_is_not_forgotten_in_a_folder_with_too_many_entries(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"a{number:02}").write_text("x")
    (tmp_path / ".envrc").write_text("x")
    found = looked(tmp_path, Bounds(entries=10))
    assert found.is_partial
    assert b".envrc" in found.entries
    assert len(found.entries) == 10


def test_pipes_links_and_names_that_are_no_text_are_entries_like_others(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n")).write_text("x")
    found = looked(tmp_path).entries
    kinds = {path: entry.kind for path, entry in found.items()}
    assert kinds == {b"pipe": "other", b"link": "link", b"\xff\n": "file"}
    assert shown(b"\xff\n") == "\\xff\n"


@pytest.mark.parametrize("mode", [0o300, 0o400, 0o000, 0o100])
def test_a_folder_that_was_locked_is_looked_at_and_locked_again(tmp_path: Path, mode: int) -> None:
    locked = tmp_path / "work" / "outer" / "locked"
    (locked / ".claude").mkdir(parents=True)
    (locked / ".claude" / "settings.json").write_text("{}")

    def do() -> Snapshot:
        for each in (locked / ".claude", locked, locked.parent):
            each.chmod(mode)
        return looked(tmp_path / "work")

    found = as_ordinary(do, tmp_path)
    assert not found.is_partial
    assert b"outer/locked/.claude/settings.json" in found.entries
    for each in (locked.parent, locked, locked / ".claude"):
        assert each.stat().st_mode & 0o777 == mode


def test_a_locked_folder_of_somebody_else_is_said_to_be_left_out(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can make what belongs to somebody else")
    locked = tmp_path / "work" / "locked"
    locked.mkdir(parents=True)

    def do() -> Snapshot:
        return looked(tmp_path / "work")

    def lock_and_do() -> Snapshot:
        os.seteuid(0)
        os.chown(locked, 0, 0)
        locked.chmod(0o700)
        os.seteuid(65534)
        return do()

    assert as_ordinary(lock_and_do, tmp_path).is_partial


def test_a_folder_that_is_exchanged_for_a_link_leads_nowhere(tmp_path: Path) -> None:
    """As another sandbox on the same folder could do it, every other moment."""
    outside, work = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    (outside / "secret").write_text("canary")
    (work / "a").mkdir(parents=True)
    spare = work / "b"
    spare.symlink_to(outside)
    pid = os.fork()
    if pid == 0:
        _exchange(work)
    try:
        seen: set[bytes] = set()
        for _ in range(300):
            seen |= looked(work).entries.keys()
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert not any(b"secret" in each for each in seen)


def _exchange(work: Path) -> None:
    while True:
        try:
            (work / "a").rename(work / "c")
            (work / "b").rename(work / "a")
            (work / "a").rename(work / "b")
            (work / "c").rename(work / "a")
        except OSError:
            continue
