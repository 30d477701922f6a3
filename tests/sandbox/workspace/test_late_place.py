"""Where late code stands is known, and what a person runs on purpose is not taken for it."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.sandbox.workspace.late_place import PLACES, hook_folder, leads_to_such, why


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
        ".claude/skills/x/SKILL.md",
        ".claude/commands/x.md",
        ".cursor/hooks/x.sh",
        ".opencode/plugins/x.ts",
        ".github/hooks/x.json",
        ".openhands/setup.sh",
        ".clinerules/hooks/PreToolUse",
        ".aider.conf.yml",
        ".helix/languages.toml",
        ".vim/coc-settings.json",
        ".vs/tasks.vs.json",
        ".vscode/extensions/x/main.js",
        "lefthook-local.yml",
        ".lefthook.toml",
        ".huskyrc.js",
        ".git/remotes/origin",
        ".config/mise/conf.d/x.toml",
        ".autoenv.zsh",
        ".rvmrc",
        ".shadowenv.d/500.lisp",
        ".Renviron",
        "analysis/.RData",
        ".ocamlinit",
        ".perldb",
        ".rdbgrc",
        "jupyter_lab_config.py",
        ".lazy.lua",
        ".ycm_extra_conf.py",
        ".git/lazygit.yml",
        ".lazygit.yml",
        "_darcs/prefs/defaults",
        ".externalToolBuilders/x.launch",
        ".iex.exs",
    ],
)
def test_what_runs_by_itself_is_known_by_its_place(path: str) -> None:
    assert why(path.encode())


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
        "conftest.py",
        ".npmrc",
        ".yarnrc.yml",
        ".cargo/config.toml",
        "rust-toolchain.toml",
        "eslint.config.js",
        "tox.ini",
        ".env",
        "flake.nix",
        ".agents/skills/x/SKILL.md",
        ".github/copilot-instructions.md",
        ".cursor/rules/x.mdc",
        "src/mise/main.py",
        ".git/info/attributes",
    ],
)
def test_what_a_person_runs_on_purpose_is_none(path: str) -> None:
    assert why(path.encode()) == ""


_PARTS = st.sampled_from(
    [
        ".git",
        "hooks",
        "pre-commit",
        ".claude",
        "settings.json",
        "mise",
        "x.toml",
        "a\n",
        "",
        ".vscode",
    ]
)


@given(st.lists(_PARTS, max_size=5))
def test_one_expression_for_all_places_says_what_each_says(parts: list[str]) -> None:
    path = "/".join(parts)
    patterns = (each for pattern in PLACES for each in (pattern, f"*/{pattern}"))
    is_one = any(fnmatchcase(path, each) for each in patterns)
    assert bool(why(path.encode())) == (is_one or path.endswith("hooks/pre-commit"))


@pytest.mark.parametrize(
    ("setting", "late", "none"),
    [
        (".GitHooks", ".githooks/anything", "x.githooks/pre-commit"),
        ("./.githooks/", "sub/.githooks/pre-commit", "readme.md"),
        ("tools//git/../hooks.d", "tools/hooks.d/pre-commit", "hooks.d/pre-commit"),
        ("/project/.githooks", ".githooks/pre-commit", ".githooks/notes.md"),
        ("../shared", "shared/post-merge", "shared/x"),
        ("~/hooks.d", "hooks.d/pre-push", "src/hooks.d/x.ts"),
    ],
)
def test_hooks_elsewhere_are_hooks_where_git_is_told_so(setting: str, late: str, none: str) -> None:
    hooks = frozenset({hook_folder(setting)})
    assert why(late.encode(), hooks)
    assert not why(none.encode(), hooks)
    assert not why(late.encode())
    assert hook_folder(".") == ""


def test_every_folder_of_such_files_is_one_that_a_link_may_not_stand_in_for() -> None:
    for path in (
        b".git",
        b"sub/.git/hooks",
        b".vscode",
        b".Claude",
        b".opencode",
        b".git/rebase-merge",
    ):
        assert leads_to_such(path)
    for path in (b"src", b".github/workflows", b"hooks", b"node_modules/.bin/mise"):
        assert not leads_to_such(path)


def test_each_place_has_a_reason_and_is_in_lower_case() -> None:
    for pattern, reason in PLACES.items():
        assert pattern == pattern.casefold()
        assert why(pattern.replace("*", "x").encode()) == reason
