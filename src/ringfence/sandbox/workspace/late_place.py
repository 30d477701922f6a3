"""Where files stand that nobody starts and that run all the same, later and on the host.

The line: **what runs without anybody starting a program of the project**. Git runs it at any
command of its own; a shell, direnv or mise when somebody enters the folder; an editor or an agent
when somebody opens it. What a person starts on purpose (a Makefile, a script of a package, a test,
a linter, a package manager with its settings, what was installed into a `.venv`) is code of the
project like any other, also where an editor starts it for them: it is told by the workspace's
summary and not touched.

Sources: git(1) and githooks(5), the documentation of each program; CVE-2026-25725
(`.claude/settings.json`).
"""

import posixpath
import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from functools import cache
from typing import Final

from ringfence.sandbox.workspace.tree import shown

_ANYWHERE: Final = "*/"
_HOOK: Final = "git runs it by itself"
_AGENT: Final = "an agent takes its settings or commands from it"
_EDITOR: Final = "an editor may run what it says when the folder is opened"
_SHELL: Final = "a shell runs it when it starts"
_PROMPT: Final = "an interpreter or debugger that is started in the folder runs it"
_GIT_PROGRAM: Final = "a program for git runs what it says when it is opened there"
_MISE: Final = "mise runs what it says when somebody enters the folder"
_DIRENV: Final = "direnv runs it when somebody enters the folder"
_SOURCE: Final = "git takes from it where it fetches from and sends to"

_GIT: Final = {
    ".git/hooks/*": _HOOK,
    ".git/remotes/*": _SOURCE,
    ".git/branches/*": _SOURCE,
    ".husky/*": _HOOK,
    ".huskyrc*": _HOOK,
    ".pre-commit-config.yaml": _HOOK,
    "prek.toml": _HOOK,
    "lefthook*.y*ml": _HOOK,
    "lefthook*.toml": _HOOK,
    "lefthook*.json": _HOOK,
    ".lefthook*": _HOOK,
    ".config/lefthook*": _HOOK,
    ".overcommit.y*ml": _HOOK,
    "captainhook.json": _HOOK,
    ".gitconfig": _HOOK,
    ".git/lazygit.yml": _GIT_PROGRAM,
    ".lazygit.yml": _GIT_PROGRAM,
}
_OTHER_REPOSITORIES: Final = {
    ".hg/hgrc*": "Mercurial runs what it says",
    ".hg/sharedpath": "Mercurial takes its configuration from where it leads",
    ".jj/repo": "Jujutsu takes its configuration from where it leads",
    ".jj/repo/config.toml": "Jujutsu runs what it says",
    ".jj/config.toml": "Jujutsu runs what it says",
    ".sl/config": "Sapling runs what it says",
    "_darcs/prefs/defaults": "Darcs runs what it says",
}
_AGENTS: Final = (
    ".claude/settings*.json",
    ".claude/hooks/*",
    ".claude/skills/*",
    ".claude/commands/*",
    ".claude/agents/*",
    ".claude/plugins/*",
    ".claude-plugin/*",
    ".mcp.json",
    ".lsp.json",
    ".cursor/*.json",
    ".cursor/hooks/*",
    ".codex/*",
    ".gemini/*",
    ".opencode/*",
    ".opencode.json*",
    "opencode.json*",
    ".github/hooks/*",
    ".github/copilot/*",
    ".copilot/*",
    ".agents/*.json",
    ".aider.conf.y*ml",
    ".amazonq/*",
    ".amp/*",
    ".augment/*",
    ".clinerules/hooks/*",
    ".continue/*",
    ".crush.json",
    "crush.json",
    ".factory/*",
    ".junie/*.json",
    ".kilocode/*.json",
    ".kiro/*",
    ".openhands/*",
    ".pi/*",
    ".qwen/*",
    ".roo/*.json",
    ".trae/*.json",
    ".windsurf/*",
)
_EDITORS: Final = (
    ".vscode/*",
    ".vs/*.json",
    ".idea/*",
    ".fleet/*",
    ".zed/*.json",
    ".helix/*",
    ".devcontainer/*",
    ".devcontainer.json",
    "*.code-workspace",
    ".exrc",
    ".vimrc",
    ".lvimrc",
    ".local.vimrc",
    ".lazy.lua",
    ".ycm_extra_conf.py",
    ".theia/*.json",
    ".externaltoolbuilders/*",
    ".vim/*",
    ".nvimrc",
    ".nvim.lua",
    ".nvim/*",
    ".dir-locals*.el",
)
_PROMPTS: Final = (
    ".gdbinit", ".lldbinit", ".pdbrc*", ".irbrc", ".pryrc", ".ghci", ".octaverc", ".rprofile",
    ".iex.exs", ".psysh.php", ".renviron", ".rdata", ".ocamlinit", ".perldb", ".byebugrc",
    ".rdbgrc", ".phpdbginit", "jupyter*_config.py", "jupyter*_config.json",
)  # fmt: skip
_SHELLS: Final = (
    ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile",
    ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".inputrc", ".tmux.conf",
)  # fmt: skip
_ON_ENTERING: Final = {
    ".envrc": _DIRENV,
    ".rvmrc": "RVM runs it when somebody enters the folder",
    ".shadowenv.d/*": "shadowenv runs it when somebody enters the folder",
    ".autoenv*": "autoenv runs it when somebody enters the folder",
    ".mise*.toml": _MISE,
    "mise*.toml": _MISE,
    ".mise/*.toml": _MISE,
    "mise/*.toml": _MISE,
    ".mise/tasks/*": _MISE,
    ".rtx*.toml": _MISE,
}

PLACES: Final[Mapping[str, str]] = {
    **_GIT,
    **_OTHER_REPOSITORIES,
    **dict.fromkeys(_AGENTS, _AGENT),
    **dict.fromkeys(_EDITORS, _EDITOR),
    **dict.fromkeys(_PROMPTS, _PROMPT),
    **dict.fromkeys(_SHELLS, _SHELL),
    **_ON_ENTERING,
}
"""Where such files stand, below any folder of the workspace; `*` stands for anything, also for
folders, and why each is one. In lower case: some file systems tell no case apart."""


def _folders(patterns: Iterable[str]) -> set[str]:
    """The folders of these patterns whose names are given."""
    parts = [each.partition("*")[0].split("/")[:-1] for each in patterns]
    folders = {"/".join(each[:end]) for each in parts for end in range(1, len(each) + 1)}
    return {each for each in folders if each.startswith(".")}


_WHOLE: Final = {".git", ".git/rebase-merge", ".git/sequencer", *_folders(PLACES)}
"""Folders in the place of which a link would bring such files from elsewhere; hidden ones, since
package managers make links of every other name."""
_SAMPLE: Final = ".sample"
_HOOKS: Final = frozenset((
    "applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit",
    "prepare-commit-msg", "commit-msg", "post-commit", "pre-rebase", "post-checkout",
    "post-merge", "pre-push", "pre-receive", "update", "proc-receive", "post-receive",
    "post-update", "reference-transaction", "push-to-checkout", "pre-auto-gc", "post-rewrite",
    "sendemail-validate", "fsmonitor-watchman", "post-index-change", "p4-changelist",
    "p4-prepare-changelist", "p4-post-changelist", "p4-pre-submit",
))  # fmt: skip
"""githooks(5)."""


# Made when they are needed: in an empty folder none is, and a run waits for all that is loaded.


@cache
def _any() -> re.Pattern[str]:
    """One expression for all: a large workspace has many paths."""
    return _below(*PLACES)


@cache
def _linked() -> re.Pattern[str]:
    return _below(*_WHOLE)


@cache
def _below(*patterns: str) -> re.Pattern[str]:
    return re.compile(f"(?:.*/)?(?:{'|'.join(map(translate, patterns))})", re.DOTALL)


def hook_folder(setting: str) -> str:
    """What a value of `core.hooksPath` names, as `why` takes it; empty if nothing here.

    Where the repository stands is not known here: of a path that leaves it the last name counts.
    """
    found = posixpath.normpath(setting.strip("\"' ")).casefold()
    if found.startswith(("/", "~", "..")):
        return _ANYWHERE + posixpath.basename(found)
    return "" if found == "." else found


def why(path: bytes, hooks: frozenset[str] = frozenset()) -> str:
    """Why what stands there runs by itself; empty if it does not.

    `hooks` are folders in which git looks for hooks besides its own (see `hook_folder`).
    """
    text = shown(path).casefold()
    folder, _, name = text.rpartition("/")
    if text.endswith(_SAMPLE):
        return ""
    if _any().match(text):
        return next(why for each, why in PLACES.items() if _below(each).match(text))
    is_hook = bool(hooks) and _is_hook_of(folder, name, hooks)
    return _HOOK if is_hook or _is_bare_hook(folder, name) else ""


def _is_hook_of(folder: str, name: str, hooks: frozenset[str]) -> bool:
    """Whether git looks there: asked once for each folder above, however many `hooks` there are."""
    if name in _HOOKS and _ANYWHERE + folder.rpartition("/")[2] in hooks:
        return True
    names = folder.split("/")
    return any("/".join(names[at:]) in hooks for at in range(len(names)))


def leads_to_such(path: bytes) -> bool:
    """Whether a link in this place would bring such files from elsewhere."""
    return _linked().match(shown(path).casefold()) is not None


def _is_bare_hook(folder: str, name: str) -> bool:
    """A hook of a repository that has another name than `.git` has its own folder all the same."""
    return name in _HOOKS and folder.rpartition("/")[2] == "hooks"
