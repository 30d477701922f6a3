"""Where hooks are is asked of git itself: a person's settings count, and a repository elsewhere."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ringfence.sandbox.workspace.host_git import hook_folders
from ringfence.sandbox.workspace.watched_folder import WatchedFolder

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


def git(folder: Path, *words: str) -> None:
    told = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    subprocess.run(told, check=True, capture_output=True)  # noqa: S603 (git itself)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's own settings."""
    path = tmp_path / "gitconfig"
    path.touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "work"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        (".team-hooks", {".team-hooks"}),
        ("Tools/Hooks/", {"tools/hooks"}),
        ("~/hooks", set()),
        ("/usr/share/hooks", set()),
    ],
)
def test_a_persons_own_settings_count_where_they_mean_the_folder(
    settings: Path, work: Path, setting: str, found: set[str]
) -> None:
    settings.write_text(f"[core]\n\thooksPath = {setting}\n")
    assert hook_folders(str(work)) == found


def test_a_git_that_an_agent_has_left_is_not_run(
    settings: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of a project is often first in a person's PATH, and an agent's to write."""
    settings.write_text("[core]\n\thooksPath = .hooks\n")
    left = work / ".venv" / "bin" / "git"
    left.parent.mkdir(parents=True)
    left.write_text(f"#!/bin/sh\ntouch {work}/ran\n")
    left.chmod(0o755)
    monkeypatch.setenv("PATH", f"{left.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GIT_DIR", str(work / "elsewhere"))
    assert hook_folders(str(work)) == {".hooks"}
    assert not (work / "ran").exists()


def test_settings_that_git_cannot_read_do_not_hide_the_persons(settings: Path, work: Path) -> None:
    settings.write_text("[core]\n\thooksPath = .hooks\n")
    git(work, "init", "-q")
    with (work / ".git" / "config").open("a") as file:
        file.write("[broken")
    assert hook_folders(str(work)) == {".hooks"}


def test_a_whole_path_into_the_folder_is_one_in_it(settings: Path, work: Path) -> None:
    settings.write_text(f"[core]\n\thooksPath = {work}/dev/hooks\n")
    assert hook_folders(str(work)) == {"dev/hooks"}
    settings.write_text(f"[core]\n\thooksPath = {work}\n")
    assert hook_folders(str(work)) == frozenset()


def test_without_an_answer_there_are_none(
    settings: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.write_text("[core\n")
    assert hook_folders(str(work)) == frozenset()
    assert hook_folders(str(work / "missing")) == frozenset()
    monkeypatch.setenv("PATH", str(work))
    assert hook_folders(str(work)) == frozenset()


def test_hooks_that_only_the_host_knows_of_are_set_aside(
    settings: Path, work: Path, tmp_path: Path
) -> None:
    """The folder is a worktree of a repository elsewhere, whose settings say where hooks are."""
    assert settings.exists()
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init", "-q")
    git(main, "commit", "-q", "--allow-empty", "-m", "first")
    git(main, "config", "core.hooksPath", "dev/checks")
    tree = work / "tree"
    git(main, "worktree", "add", "-q", str(tree))
    (tree / "dev/checks").mkdir(parents=True)
    (tree / "dev/checks/pre-commit").write_text("mine")
    watched = WatchedFolder(str(tree))
    try:
        watched.look(time.time_ns())
        (tree / "dev/checks/pre-commit").write_text("evil")
        (tree / "dev/checks/pre-push").write_text("evil")
        left = watched.left("sbx_1")
    finally:
        watched.close()
    told = [(each.path, each.is_restored) for each in left.aside]
    assert told == [("dev/checks/pre-commit", True), ("dev/checks/pre-push", False)]
    assert (tree / "dev/checks/pre-commit").read_text() == "mine"
