"""What git would run when unfinished work goes on is read as git reads it."""

import os
import subprocess
from pathlib import Path

import pytest

from ringfence.sandbox.workspace.git_state import OPTIONS, STEPS, STRATEGY, commands

_STOPPED = """\
git init -q . && echo 1 > f && git add f && git commit -qm 1 && git checkout -qb other
echo 2 > f && git commit -qam 2 && git checkout -q - && echo 3 > f && git commit -qam 3
git rebase other; echo 4 > f; git add f; true
"""


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"pick 1 x\nedit 2 y\nlabel x\n", set()),
        (b"# exec evil\n#x evil\n", set()),
        (b"exec evil\n", {"evil"}),
        (b"\t x evil --all\r\nx other", {"evil --all", "other"}),
        (b"exec\n", {""}),
        (b"executed evil\n", set()),
    ],
)
def test_lines_of_a_rebase_that_run_something_are_found(content: bytes, found: set[str]) -> None:
    assert commands(STEPS, content) == found


def test_a_strategy_with_a_path_is_a_program() -> None:
    assert commands(STRATEGY, b"ort\n") == set()
    assert commands(STRATEGY, b"../../evil\n") == {"../../evil"}
    assert commands(OPTIONS, b"[options]\n\tstrategy = recursive\n") == set()
    assert commands(OPTIONS, b'[Options]\n\tSTRATEGY = "a/b"\n') == {"a/b"}


def test_git_really_runs_a_program_that_a_strategy_names(tmp_path: Path) -> None:
    """The proof that the rule above is one; it is to be seen if git does so no more."""
    who = {
        f"GIT_{each}_{what}": "a@b"
        for each in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **who, "GIT_EDITOR": "true", "HOME": str(tmp_path)}

    def shell(script: str) -> None:
        command = ["/bin/sh", "-c", script]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)  # noqa: S603 (our own words)

    try:
        shell("git --version")
    except subprocess.CalledProcessError:
        pytest.skip("git is not on this machine")
    shell(_STOPPED)
    (tmp_path / "git-merge-..").mkdir()
    (tmp_path / "evil").write_text("#!/bin/sh\ntouch it-ran\n")
    (tmp_path / "evil").chmod(0o755)
    state = tmp_path / ".git/rebase-merge"
    (state / "strategy").write_text("../../evil\n")
    shell(
        "echo pick $(git rev-parse other) x >> .git/rebase-merge/git-rebase-todo;"
        " git rebase --continue; true"
    )
    if not (tmp_path / "it-ran").exists():
        pytest.skip("this git does not")
