"""However much an agent puts around it, what would run later is found."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sandbox.workspace.held import held

from ringfence.sandbox.workspace.late_code import Before, LateCode, find, keep
from ringfence.sandbox.workspace.late_search import SearchBounds, search
from ringfence.sandbox.workspace.tree import Bounds, Snapshot, look

_LOOKED = Bounds(entries=20)
_SEARCHED = SearchBounds(crowd=30)


def write(path: Path, text: str = "evil") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def left(work: Path, happens: Callable[[], object], bounds: SearchBounds = _SEARCHED) -> list[str]:
    """The paths of late code after something has happened, where a look sees twenty entries."""
    with held(work) as root:
        before = keep(root, look(root), time.time_ns())
        happens()
        after = look(root, _LOOKED, before.snapshot)
        assert after.is_partial
        searched = search(root, before, after, bounds)
        return [tell(each) for each in find(root, before, searched.snapshot, searched.crowded)]


def tell(late: LateCode) -> str:
    return late.path.decode()


def flood(folder: Path, start: str, count: int = 100) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{start}{number:03}").touch()


@pytest.mark.parametrize(
    ("flooded", "start", "late"),
    [
        ("", "a", "mise.toml"),
        ("", ".a", ".envrc"),
        (".cache/a/b", "x", "sub/deep/.envrc"),
        ("a", ".x", "z/lefthook.yml"),
    ],
)
def test_a_flood_of_files_hides_none(tmp_path: Path, flooded: str, start: str, late: str) -> None:
    def happens() -> None:
        flood(tmp_path / flooded, start)
        write(tmp_path / late)

    assert left(tmp_path, happens) == [late]


def test_a_new_folder_of_such_files_is_one_whatever_is_in_it(tmp_path: Path) -> None:
    def happens() -> None:
        flood(tmp_path / ".vscode/a", "a")
        write(tmp_path / ".vscode/tasks.json")
        write(tmp_path / "sub/.envrc")

    assert left(tmp_path, happens) == [".vscode", "sub/.envrc"]


def test_one_that_was_there_is_one_if_it_is_crowded(tmp_path: Path) -> None:
    write(tmp_path / "sub/.vscode/settings.json", "{}")
    write(tmp_path / "other/.vscode/settings.json", "{}")

    def happens() -> None:
        flood(tmp_path / "sub/.vscode", "a")
        flood(tmp_path / "z", "a")
        write(tmp_path / "other/.vscode/tasks.json")

    assert left(tmp_path, happens) == ["sub/.vscode", "other/.vscode/tasks.json"]


def test_repositories_behind_a_flood_are_judged_as_any(tmp_path: Path) -> None:
    def happens() -> None:
        flood(tmp_path, "a")
        for name in ("HEAD", "objects/x", "refs/x"):
            write(tmp_path / "bare" / name)
        write(tmp_path / "bare/config", "[core]\n\tfsmonitor = evil\n")
        write(tmp_path / "plain/config", "[core]\n\tfsmonitor = evil\n")
        write(tmp_path / "sub/.git", "gitdir: /elsewhere\n")
        (tmp_path / "linked").mkdir()
        (tmp_path / "linked/.claude").symlink_to("../bare")

    assert left(tmp_path, happens) == ["bare/config", "linked/.claude", "sub/.git"]


def test_what_was_there_before_is_none(tmp_path: Path) -> None:
    write(tmp_path / "sub/.envrc", "mine")
    assert left(tmp_path, lambda: flood(tmp_path, "a")) == []


def test_many_that_were_there_and_not_looked_at_are_left_where_they_are(tmp_path: Path) -> None:
    flood(tmp_path / "a", "a")
    flood(tmp_path / "sub/.codex", "session")
    with held(tmp_path) as root:
        begins_ns = time.time_ns() + 60 * 1_000_000_000  # all of it is older than such a run
        before = keep(root, look(root, _LOOKED), begins_ns)
        assert b"sub/.codex/session099" not in before.snapshot.entries
        searched = search(root, before, look(root, _LOOKED, before.snapshot), _SEARCHED)
        found = find(root, before, searched.snapshot, searched.crowded)
    assert (searched.crowded, found) == (frozenset(), [])


def test_where_a_bound_is_reached_names_that_programs_look_for_come_first(tmp_path: Path) -> None:
    def happens() -> None:
        flood(tmp_path / "a", "mise.longer.", 50)
        for each in (tmp_path / "a").iterdir():
            each.rename(each.with_name(each.name + ".toml"))
        write(tmp_path / "a/mise.toml")

    with held(tmp_path) as root:
        happens()
        before, after = Before(snapshot=Snapshot()), Snapshot(is_partial=True)
        found = search(root, before, after, SearchBounds(found=1)).snapshot.entries
        late = search(root, before, after, SearchBounds(seconds=-1)).snapshot.entries
        near = search(root, before, after, SearchBounds(depth=0)).snapshot.entries
    assert list(found) == [b"a/mise.toml"]
    assert not late
    assert not near


def test_a_crowded_folder_in_a_crowded_one_is_told_with_it(tmp_path: Path) -> None:
    crowded = frozenset({b".codex", b".codex/a", b"z"})
    with held(tmp_path) as root:
        found = find(root, Before(snapshot=Snapshot()), Snapshot(), crowded)
    assert [tell(each) for each in found] == [".codex", "z"]
