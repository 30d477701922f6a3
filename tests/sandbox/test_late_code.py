"""What would run later on the host is set aside, and what was there before is there again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence.sandbox.late_code import SetAside, find, keep, set_aside
from ringfence.sandbox.workspace import look

_ORDINARY = 65534


def after(work: Path, happens: Callable[[], object]) -> list[SetAside]:
    """What is set aside after something has happened in a workspace."""
    before = look(work)
    kept = keep(work, before)
    happens()
    return set_aside(work, find(work, before, look(work), kept), kept, "sbx_1")


def write(path: Path, text: str = "evil", mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/pre-commit",
        "sub/.git/hooks/post-checkout",
        "evil.repo/hooks/pre-commit",
        ".git/modules/x/hooks/post-merge",
        ".husky/pre-push",
        ".claude/settings.json",
        ".claude/settings.local.json",
        "deep/er/.claude/settings.json",
        ".Claude/Settings.json",
        ".mcp.json",
        ".cursor/mcp.json",
        ".codex/config.toml",
        ".vscode/tasks.json",
        ".idea/workspace.xml",
        ".devcontainer/devcontainer.json",
        ".envrc",
        ".bashrc",
        ".gitconfig",
        "x.code-workspace",
        "mise.local.toml",
        ".config/mise/config.toml",
        ".hg/hgrc",
        ".jj/repo/config.toml",
        "deep/.pdbrc",
        ".Rprofile",
    ],
)
def test_what_runs_by_itself_is_moved_beside_and_can_run_no_more(tmp_path: Path, path: str) -> None:
    [found] = after(tmp_path, lambda: write(tmp_path / path))
    assert (found.path, found.moved_to) == (path, f"{path}.quarantined-sbx_1")
    assert found.why
    assert not (tmp_path / path).exists()
    moved = tmp_path / found.moved_to
    assert moved.read_text() == "evil"
    assert moved.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "path",
    [
        "Makefile",
        "package.json",
        "setup.py",
        ".venv/lib/python3.11/site-packages/a.pth",
        "src/main.py",
        ".git/hooks/pre-commit.sample",
        ".git/objects/ab/cdef",
        ".git/HEAD",
        "hooks/useState.ts",
        ".gitignore",
        ".github/workflows/ci.yml",
        "CLAUDE.md",
        "docs/config",
    ],
)
def test_what_a_person_runs_on_purpose_is_left_alone(tmp_path: Path, path: str) -> None:
    assert after(tmp_path, lambda: write(tmp_path / path)) == []
    assert (tmp_path / path).exists()


def test_what_was_there_before_is_put_back(tmp_path: Path) -> None:
    hook = tmp_path / ".git/hooks/pre-commit"
    write(hook, "mine", 0o750)
    [found] = after(tmp_path, lambda: write(hook, "evil"))
    assert found.is_restored
    assert (hook.read_text(), hook.stat().st_mode & 0o777) == ("mine", 0o750)
    assert (tmp_path / found.moved_to).read_text() == "evil"


def test_what_was_there_before_and_is_the_same_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / ".envrc", "mine")
    assert after(tmp_path, lambda: write(tmp_path / "a.py")) == []


def test_a_configuration_of_git_counts_by_what_it_newly_runs(tmp_path: Path) -> None:
    config = tmp_path / ".git/config"
    write(config, "[core]\n\tpager = mine\n", 0o644)

    def remote() -> None:
        config.write_text('[core]\n\tpager = mine\n[remote "origin"]\n\turl = https://x/y\n')

    assert after(tmp_path, remote) == []
    [found] = after(tmp_path, lambda: config.write_text("[core]\n\tfsmonitor = ./evil\n"))
    assert "core.fsmonitor=./evil" in found.why
    assert "pager = mine" in config.read_text()


def test_a_repository_of_another_name_is_one_all_the_same(tmp_path: Path) -> None:
    def embed() -> None:
        write(tmp_path / "data/HEAD", "ref: refs/heads/main")
        (tmp_path / "data/objects").mkdir()
        write(tmp_path / "data/config", "[core]\n\tfsmonitor = ./evil\n")

    assert [each.path for each in after(tmp_path, embed)] == ["data/config"]


def test_a_new_repository_without_commands_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "a", "x")

    def init() -> None:
        write(tmp_path / ".git/config", "[core]\n\tbare = false\n")
        write(tmp_path / ".git/hooks/pre-commit.sample", "#!/bin/sh")

    assert after(tmp_path, init) == []


def test_hooks_elsewhere_count_where_the_configuration_says_so(tmp_path: Path) -> None:
    write(tmp_path / ".git/config", "[core]\n\thooksPath = .githooks\n")
    [found] = after(tmp_path, lambda: write(tmp_path / ".githooks/anything"))
    assert found.path == ".githooks/anything"


@pytest.mark.parametrize("name", [".claude", ".git", ".git/hooks", ".vscode"])
def test_a_link_in_the_place_of_such_a_folder_is_set_aside(tmp_path: Path, name: str) -> None:
    def link() -> None:
        write(tmp_path / "innocent/settings.json")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(tmp_path / "innocent")

    [found] = after(tmp_path, link)
    assert found.path == name
    assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "innocent/settings.json").exists()


def test_a_file_that_leads_git_elsewhere_is_set_aside_and_that_of_a_submodule_is_not(
    tmp_path: Path,
) -> None:
    usual = "gitdir: ../.git/modules/lib\n"
    assert after(tmp_path, lambda: write(tmp_path / "lib/.git", usual)) == []
    [found] = after(tmp_path, lambda: write(tmp_path / "x/.git", "gitdir: ../evil\n"))
    assert found.path == "x/.git"


def test_a_repository_that_says_its_common_part_is_elsewhere_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path / ".git/HEAD", "ref: refs/heads/main\n")
    [found] = after(tmp_path, lambda: write(tmp_path / ".git/commondir", "../stuff\n"))
    assert (found.path, bool(found.moved_to)) == (".git/commondir", True)
    usual = tmp_path / ".git/worktrees/w"
    write(usual / "HEAD", "ref: refs/heads/w\n")
    assert after(tmp_path, lambda: write(usual / "commondir", "../..\n")) == []
    [found] = after(tmp_path, lambda: write(usual / "commondir", "../../../stuff\n"))
    assert found.path == ".git/worktrees/w/commondir"


def test_a_link_to_a_file_outside_is_moved_and_the_file_is_not_touched(tmp_path: Path) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    write(outside, "host", 0o644)
    [found] = after(work, lambda: (work / ".envrc").symlink_to(outside))
    assert found.moved_to
    assert (outside.read_text(), outside.stat().st_mode & 0o777) == ("host", 0o644)


def test_what_cannot_be_moved_is_said_so(tmp_path: Path) -> None:
    before = look(tmp_path)
    kept = keep(tmp_path, before)
    write(tmp_path / ".envrc")
    found = find(tmp_path, before, look(tmp_path), kept)
    os.unlink(tmp_path / ".envrc")  # noqa: PTH108 (what a neighbour does)
    [left] = set_aside(tmp_path, found, kept, "sbx_1")
    assert (left.moved_to, left.is_restored) == ("", False)


def test_a_folder_that_was_made_read_only_keeps_nothing(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()

    def happens() -> None:
        write(work / "a/.envrc")
        (work / "a").chmod(0o555)

    [found] = _as_ordinary(lambda: after(work, happens), tmp_path)
    assert found.moved_to == "a/.envrc.quarantined-sbx_1"
    assert not (work / "a/.envrc").exists()


def _as_ordinary(does: Callable[[], list[SetAside]], folder: Path) -> list[SetAside]:
    """What comes of it where modes hold: they do not hold root back."""
    if os.geteuid():
        return does()
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    os.chown(folder / "work", _ORDINARY, _ORDINARY)
    os.seteuid(_ORDINARY)
    try:
        return does()
    finally:
        os.seteuid(0)
