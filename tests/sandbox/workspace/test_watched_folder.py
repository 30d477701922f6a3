"""The folder that a sandbox was given is looked at, wherever it is by then."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sandbox.workspace.held import as_ordinary

from ringfence.domain.error import UsageError
from ringfence.sandbox.workspace.tree import Bounds
from ringfence.sandbox.workspace.watched_folder import Left, WatchedFolder


def left(work: Path, happens: Callable[[], object], bounds: Bounds | None = None) -> Left:
    watched = WatchedFolder(str(work.resolve()), bounds)
    try:
        watched.look(time.time_ns())
        happens()
        return watched.left("sbx_1")
    finally:
        watched.close()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path / "outer" / "work"
    made.mkdir(parents=True)
    return made


def test_a_folder_that_was_moved_away_is_looked_at_and_its_late_code_set_aside(work: Path) -> None:
    def happens() -> None:
        (work / ".envrc").write_text("evil")
        work.rename(work.parent / "elsewhere")
        work.mkdir()

    found = left(work, happens)
    moved = work.parent.resolve() / "elsewhere"
    assert found.summary.trouble == f"it was moved away while the run lasted, and is at `{moved}`"
    assert [each.path for each in found.summary.added] == [".envrc"]
    assert [each.path for each in found.aside] == [".envrc"]
    assert [each.name for each in moved.iterdir()] == [".envrc.quarantined-sbx_1"]
    assert list(work.iterdir()) == []


def test_a_folder_that_was_removed_is_said_so(work: Path) -> None:
    (work / "file").write_text("x")

    def happens() -> None:
        (work / "file").unlink()
        work.rmdir()

    found = left(work, happens)
    assert found.summary.trouble == "it was removed while the run lasted"
    assert found.summary.removed == ["file"]


def test_nothing_is_wrong_with_a_folder_that_is_where_it_was(work: Path) -> None:
    found = left(work, lambda: (work / "a").write_text("x"))
    assert (found.summary.trouble, found.aside) == ("", [])


def test_a_folder_that_was_locked_is_looked_at_and_said_to_be_so(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()

    def do() -> Left:
        def happens() -> None:
            (work / ".envrc").write_text("evil")
            work.chmod(0)

        return left(work, happens)

    found = as_ordinary(do, tmp_path)
    assert found.summary.trouble == "its mode was 755, and is 0 now"
    assert [each.path for each in found.aside] == [".envrc"]
    work.chmod(0o700)


def test_a_link_to_the_folder_in_its_place_is_not_the_folder(work: Path) -> None:
    def happens() -> None:
        work.rename(work.parent / "elsewhere")
        work.symlink_to(work.parent / "elsewhere")

    assert "it was moved away" in left(work, happens).summary.trouble


def test_what_is_no_folder_for_an_agent_is_refused(work: Path) -> None:
    for path in (str(work / "missing"), "/etc"):
        with pytest.raises(UsageError) as caught:
            WatchedFolder(path)
        assert caught.value.code == "bad_workspace"


def test_what_a_run_left_that_nobody_looked_after_is_known_by_its_time(work: Path) -> None:
    (work / ".mcp.json").write_text("{}")
    time.sleep(1.1)
    began_ns = time.time_ns()
    (work / ".envrc").write_text("evil")
    (work / "main.py").write_text("x")
    watched = WatchedFolder(str(work.resolve()))
    assert watched.changed_since(began_ns) == [".envrc"]
    watched.close()


def test_what_others_left_is_not_put_back(work: Path) -> None:
    (work / ".envrc").write_text("another's")
    watched = WatchedFolder(str(work.resolve()))
    watched.look(time.time_ns(), time.time_ns() - 60_000_000_000)
    (work / ".envrc").write_text("evil")
    [aside] = watched.left("sbx_1").aside
    watched.close()
    assert (aside.path, aside.is_restored) == (".envrc", False)
    assert not (work / ".envrc").exists()
