"""What a git configuration runs is found, however it is written."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from ringfence.sandbox.workspace.git_config import commands, hooks_paths, settings


@pytest.mark.parametrize(
    "content",
    [
        b"[core]\n\tfsmonitor = /tmp/evil\n",
        b"[CORE] FSMonitor=/tmp/evil\n",
        b"[core]\nfsmonitor = ./e\\\nvil\n",
        b'[alias]\n  st = "!curl evil"\n',
        b'[filter "x"] clean = evil\n',
        b'[diff "x"]\n textconv = evil\n',
        b'[credential "https://x"]\n helper = !evil\n',
        b"[include]\npath = ../evil\n",
        b'[includeIf "gitdir:~/"]\npath = ../evil\n',
        b'[url "https://evil/"]\n insteadOf = https://github.com/\n',
        b'[remote "origin"]\n url = ext::sh -c evil\n',
        b'[remote "origin"]\n uploadpack = evil\n',
        b"[core]\n[gpg] program = evil\n",
        b"[pager]\nlog = evil\n",
        b"[extensions]\nworktreeConfig = true\n",
        b"# no more \\\n[core]\nfsmonitor = evil\n",
        b"[x]\na = b ; no more \\\n[core]\nfsmonitor = evil\n",
        b"[x]\na = b\\\\\n[core]\nfsmonitor = evil\n",
        b"[core]\na = b\\\n[x]\nfsmonitor = evil\n",
        b'[core]\na = "b # \\\n[x]"\nfsmonitor = evil\n',
        b"# c \\\n[core]\na = b\\\r\n[x]\nfsmonitor = evil",
        b"\xef\xbb\xbf[core]\nfsmonitor = evil\n",
        b"[core]\nbroken ^ line\nfsmonitor = evil\\",
        b'[hook "x"]\ncommand = evil\n',
        b"[http]\ncurloptResolve = github.com:443:192.0.2.1\n",
        b'[http "https://github.com"]\nsslCAInfo = ../evil.pem\n',
        b"[http]\nproxySSLCAInfo = ../evil.pem\n",
        b"[http]\ncookieFile = ~/.bashrc\n",
        b"[http]\nsaveCookies = true\n",
        b"[tig]\nbind = generic q !evil\n",
        b'[tig "bind"]\ngeneric = q !evil\n',
        b"[delta]\npager = evil\n",
        b"[svn]\nauthorsProg = evil\n",
        b'[tar "tar.gz"]\ncommand = evil\n',
        b"[gc]\nrecentObjectsHook = evil\n",
        b'[lfs "customtransfer.x"]\npath = evil\n',
        b"[diff]\ntool = ../../tools/evil\n",
        b'[branch "main"]\nremote = ext::sh -c evil\n',
        b'[submodule "x"]\nurl = ext::sh -c evil\n',
    ],
)
def test_what_runs_something_is_found(content: bytes) -> None:
    assert len(commands(content)) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"[diff]\ntool = meld\n",
        b"[merge]\ntool = vimdiff\n",
        b'[branch "main"]\nremote = origin\nmerge = refs/heads/main\n',
        b'[submodule "x"]\nurl = ../x\nactive = true\n',
        b"[lfs]\nurl = https://x/y\n",
    ],
)
def test_what_runs_nothing_of_its_own_is_none(content: bytes) -> None:
    assert commands(content) == frozenset()


def test_a_setting_is_what_git_itself_takes_for_one(tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git here to compare with")
    lines = ["[core]", "[x]", "[core] fsmonitor", "fsmonitor = 1", "a = b\\", "a = b\\\\"]
    lines += ["# c \\", "a = b ; c \\", 'a = "b # \\', '"', 'a = "b ; c"\\', "a = b\\\r", "\\"]
    chosen, agreed = random.Random(7), 0  # noqa: S311 (to be the same each time)
    for _ in range(150):
        text = "\n".join(["[x]", *chosen.choices(lines, k=4), "fsmonitor = 2\n"])
        (tmp_path / "config").write_text(text, newline="")
        asked = [git, "config", "--file", str(tmp_path / "config"), "--list", "--name-only"]
        told = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 (git itself)
        if told.returncode == 0:
            ours = [name.removeprefix(".") for name, _ in settings(text.encode())]
            assert ours == told.stdout.split(), text
            agreed += 1
    assert agreed > 30


def test_what_only_describes_a_repository_runs_nothing() -> None:
    content = (
        b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
        b'[remote "origin"]\n\turl = https://github.com/a/b\n\tfetch = +refs/heads/*:refs/x/*\n'
        b'[branch "main"]\n\tremote = origin\n\tmerge = refs/heads/main\n'
        b"[user]\n\tname = A\n# [core] fsmonitor = x\n; fsmonitor = y\n"
    )
    assert commands(content) == frozenset()
    assert ("branch.main.merge", "refs/heads/main") in settings(content)


def test_where_hooks_are_is_read() -> None:
    assert hooks_paths(b"[core]\n hooksPath = .githooks\n") == (".githooks",)
    assert hooks_paths(b"[core]\n hooksPath = a\n[core] hooksPath = b\n") == ("a", "b")
    assert hooks_paths(b"[core]\n") == ()


def test_a_section_with_a_long_name_costs_no_more_than_its_text() -> None:
    text = b'[filter "' + b"c" * 32_000 + b'"]\n' + b"a\n" * 16_000 + b"clean = evil\n"
    assert len(text) < 65_536
    found = settings(text)
    assert sum(len(name) for name, _ in found) < 100 * len(text)
    assert len(commands(text)) == 1


def test_sections_with_long_names_are_told_apart() -> None:
    first, second = (b'[filter "%b%d"]\nclean = mine\n' % (b"c" * 1_000, each) for each in (1, 2))
    assert len(commands(first) | commands(second)) == 2
    assert all(name.startswith("filter.ccc") for name in commands(first))
