"""What of late code is new or different is found, by its place or by what it says."""

import os
import time
from pathlib import Path

import pytest
from tests.sandbox.workspace.held import held
from tests.sandbox.workspace.leaving import after, write

from ringfence.sandbox.workspace.late_code import keep
from ringfence.sandbox.workspace.tree import Bounds, look


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


def test_a_remote_that_leads_elsewhere_than_before_is_told(tmp_path: Path) -> None:
    config = tmp_path / ".git/config"
    write(config, '[remote "origin"]\n\turl = https://x/y\n')
    more = '[remote "fork"]\n\turl = https://z/y\n'
    assert after(tmp_path, lambda: config.write_text(config.read_text() + more)) == []
    [found] = after(
        tmp_path, lambda: config.write_text('[remote "origin"]\n\turl = https://evil/\n')
    )
    assert "remote.origin.url=https://evil/" in found.why


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


def test_what_is_written_again_as_it_was_is_left_alone(tmp_path: Path) -> None:
    hook, link = tmp_path / ".husky/pre-push", tmp_path / ".mcp.json"
    write(hook, "mine")
    link.symlink_to("other.json")

    def happens() -> None:
        hook.unlink()
        write(hook, "mine")
        link.unlink()
        link.symlink_to("other.json")

    assert after(tmp_path, happens) == []
    [found] = after(tmp_path, lambda: hook.chmod(0o700))
    assert (found.path, found.is_restored) == (".husky/pre-push", True)


@pytest.mark.parametrize(
    ("path", "text", "is_late"),
    [
        (".git/rebase-merge/git-rebase-todo", "pick 1234 x\n# exec y\n", False),
        (".git/rebase-merge/git-rebase-todo", "pick 1234 x\n  exec ./evil\n", True),
        (".git/worktrees/w/rebase-merge/git-rebase-todo", "x ./evil\n", True),
        (".git/rebase-merge/strategy", "ort\n", False),
        (".git/rebase-merge/strategy", "../../evil\n", True),
        (".git/sequencer/opts", "[options]\n\tstrategy = ort\n", False),
        (".git/sequencer/opts", "[options]\n\tstrategy = ../../evil\n", True),
    ],
)
def test_unfinished_work_of_git_counts_by_what_it_would_run(
    tmp_path: Path, path: str, text: str, *, is_late: bool
) -> None:
    found = after(tmp_path, lambda: write(tmp_path / path, text))
    assert [each.path for each in found] == ([path] if is_late else [])


@pytest.mark.parametrize(
    "pointer",
    [
        "gitdir: .git/modules/../../evil\n",
        "gitdir: /x/.git/worktrees/..\n",
        "junk",
        "x/.git/modules/y\n",
    ],
)
def test_a_pointer_that_leaves_the_repositorys_own_folders_is_none_of_a_submodule(
    tmp_path: Path, pointer: str
) -> None:
    [found] = after(tmp_path, lambda: write(tmp_path / "lib/.git", pointer))
    assert found.path == "lib/.git"


@pytest.mark.parametrize("end", ["\0", "\nx", "/..", "//x", ""])
def test_a_pointer_of_any_length_is_judged_at_once(tmp_path: Path, end: str) -> None:
    pointer = "gitdir: " + "/.git/modules/a" * 4300 + end
    began_s = time.process_time()
    found = after(tmp_path, lambda: write(tmp_path / "lib/.git", pointer))
    assert time.process_time() - began_s < 1
    assert [each.path for each in found] == (["lib/.git"] if end else [])


def test_no_spelling_hides_a_repository_where_case_is_not_told_apart(tmp_path: Path) -> None:
    def happens() -> None:
        write(tmp_path / ".GIT/Config", "[core]\n\tfsmonitor = ./evil\n")
        write(tmp_path / "sub/.Git", "gitdir: ../evil\n")

    assert [each.path for each in after(tmp_path, happens)] == [".GIT/Config", "sub/.Git"]


def test_what_cannot_be_read_counts_as_what_it_may_be(tmp_path: Path) -> None:
    def happens() -> None:
        (tmp_path / ".git").mkdir()
        os.mkfifo(tmp_path / ".git/config")
        write(tmp_path / "lib/.git/config", "x" * 70_000)

    assert [each.path for each in after(tmp_path, happens)] == [".git/config", "lib/.git/config"]


def test_a_flood_of_configurations_is_judged_in_bounded_time(tmp_path: Path) -> None:
    def happens() -> None:
        for number in range(140):
            write(tmp_path / f".git/{number:03}/config", "[a]\n" + "#" * 65_000)

    found = [each.path for each in after(tmp_path, happens)]
    assert ".git/000/config" not in found
    assert ".git/139/config" in found


def test_what_was_there_and_not_seen_before_is_left_where_it_is(tmp_path: Path) -> None:
    old = ("mise.toml", "sub/opencode.json", "sub/deep/.envrc")
    for path in old:
        write(tmp_path / path, "mine")
    # Out of the way of clocks: what is older than a run is so by more than their coarseness.
    time.sleep(1.1)

    def happens() -> None:
        write(tmp_path / "other/mise.toml")
        write(tmp_path / "x.txt")

    found = after(tmp_path, happens, Bounds(entries=1))
    assert [each.path for each in found] == ["other/mise.toml"]
    assert all((tmp_path / path).read_text() == "mine" for path in old)


def test_what_was_moved_to_its_place_is_new_there_however_old_it_is(tmp_path: Path) -> None:
    write(tmp_path / "vendor/vscode/tasks.json")
    write(tmp_path / "vendor/envrc")
    time.sleep(1.1)

    def happens() -> None:
        (tmp_path / "vendor/vscode").rename(tmp_path / "sub.vscode")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub.vscode").rename(tmp_path / "sub/.vscode")
        (tmp_path / "vendor/envrc").rename(tmp_path / ".envrc")

    found = after(tmp_path, happens, Bounds(entries=1))
    assert [each.path for each in found] == [".envrc", "sub/.vscode/tasks.json"]


def test_what_others_have_left_meanwhile_is_not_kept_to_be_put_back(tmp_path: Path) -> None:
    write(tmp_path / ".envrc", "mine")
    time.sleep(1.1)
    others_began = time.time_ns()
    write(tmp_path / "sub/.envrc", "another's")
    with held(tmp_path) as root:
        kept = keep(root, look(root), time.time_ns(), others_began).kept
    assert kept.keys() == {b".envrc"}
