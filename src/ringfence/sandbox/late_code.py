"""Files that nobody starts and that run all the same, later and on the host: found and set aside.

Hooks of git and what makes git run something; settings by which editors, agents and terminals run
commands when somebody only opens the folder. What a person runs on purpose (a Makefile, a script
of a package, a test, what was installed into a `.venv`) is code of the project like any other: it
is told by the workspace's summary and not touched.

Precedents: CVE-2026-25725 (`.claude/settings.json`), `core.fsmonitor` of an embedded repository.
"""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from ringfence.sandbox import git_config
from ringfence.sandbox.workspace import FOLDER, Entry, Snapshot, open_below, shown

_KEPT_BYTES: Final = 64 * 1024
_KEPT_MOST: Final = 512
"""So much of what is there before is kept, to be put back."""

_HOOK: Final = "git runs it by itself"
_AGENT: Final = "an agent takes its settings or commands from it"
_EDITOR: Final = "an editor may run what it says when the folder is opened"
_SHELL: Final = "a shell runs it when it starts"
_PROMPT: Final = "an interpreter or debugger that is started in the folder runs it"
_MISE: Final = "mise runs what it says when somebody enters the folder"

PLACES: Final[Mapping[str, str]] = {
    ".git/hooks/*": _HOOK,
    ".husky/*": _HOOK,
    ".pre-commit-config.yaml": _HOOK,
    "lefthook.y*ml": _HOOK,
    ".claude/settings*.json": _AGENT,
    ".claude/hooks/*": _AGENT,
    ".mcp.json": _AGENT,
    ".cursor/*.json": _AGENT,
    ".codex/*": _AGENT,
    ".gemini/*": _AGENT,
    ".opencode/*": _AGENT,
    "opencode.json*": _AGENT,
    ".github/hooks/*": _AGENT,
    ".kiro/*": _AGENT,
    ".windsurf/*": _AGENT,
    ".qwen/*": _AGENT,
    ".roo/mcp.json": _AGENT,
    ".amazonq/*": _AGENT,
    ".vscode/*.json": _EDITOR,
    ".idea/*": _EDITOR,
    ".zed/*.json": _EDITOR,
    ".devcontainer/*": _EDITOR,
    ".devcontainer.json": _EDITOR,
    "*.code-workspace": _EDITOR,
    ".exrc": _EDITOR,
    ".vimrc": _EDITOR,
    ".nvimrc": _EDITOR,
    ".nvim.lua": _EDITOR,
    ".dir-locals.el": _EDITOR,
    ".gdbinit": _PROMPT,
    ".lldbinit": _PROMPT,
    ".envrc": "direnv runs it when somebody enters the folder",
    ".mise.*toml": _MISE,
    "mise.*toml": _MISE,
    ".mise/config*.toml": _MISE,
    "mise/config*.toml": _MISE,
    ".bashrc": _SHELL,
    ".bash_profile": _SHELL,
    ".bash_login": _SHELL,
    ".bash_logout": _SHELL,
    ".bash_aliases": _SHELL,
    ".profile": _SHELL,
    ".zshrc": _SHELL,
    ".zshenv": _SHELL,
    ".zprofile": _SHELL,
    ".zlogin": _SHELL,
    ".inputrc": _SHELL,
    ".tmux.conf": _SHELL,
    ".gitconfig": _HOOK,
    ".hg/hgrc*": "Mercurial runs what it says",
    ".hg/sharedpath": "Mercurial takes its configuration from where it leads",
    ".jj/repo": "Jujutsu takes its configuration from where it leads",
    ".jj/repo/config.toml": "Jujutsu runs what it says",
    ".pdbrc": _PROMPT,
    ".irbrc": _PROMPT,
    ".pryrc": _PROMPT,
    ".ghci": _PROMPT,
    ".octaverc": _PROMPT,
    ".rprofile": _PROMPT,
}
"""Where such files stand, below any folder of the workspace; `*` stands for anything, also for
folders, and why each is one."""

_WHOLE: Final = (".claude", ".vscode", ".cursor", ".husky", ".idea", ".git", ".git/hooks")
"""Folders in the place of which a link would bring such files from elsewhere."""
_SAMPLE: Final = b".sample"
_GIT_FILE: Final = re.compile(rb"gitdir: (?:.*/)?\.git/(?:modules|worktrees)/[^\0]+\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class LateCode:
    """One such file, new or different after a run; `why` it is one."""

    path: bytes
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """What became of such a file; `moved_to` is empty if it could not be moved.

    `is_restored` tells that what was there before is in its place again.
    """

    path: str
    why: str
    moved_to: str
    is_restored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """How such files were before a run: their bytes and modes, and where else hooks are."""

    contents: Mapping[bytes, tuple[bytes, int]]
    hooks: tuple[str, ...] = ()


def keep(folder: Path, before: Snapshot) -> Before:
    """Read what is there of such files before a run, within a bound."""
    contents: dict[bytes, tuple[bytes, int]] = {}
    root = os.open(folder, FOLDER)
    try:
        for path, entry in before.entries.items():
            is_one = bool(_why(path, ())) or _is_config(path, before.entries)
            if entry.kind == "file" and is_one and len(contents) < _KEPT_MOST:
                content = _read(root, path)
                if content is not None:
                    contents[path] = (content, entry.mode)
    finally:
        os.close(root)
    configs = (content for path, (content, _) in contents.items() if path.endswith(b"config"))
    hooks = {git_config.hooks_path(each).strip("\"'/ ") for each in configs} - {""}
    return Before(contents=contents, hooks=tuple(sorted(hooks)))


def find(folder: Path, before: Snapshot, after: Snapshot, kept: Before) -> list[LateCode]:
    """What of such files is new or different."""
    found: list[LateCode] = []
    root = os.open(folder, FOLDER)
    try:
        for path, entry in sorted(after.entries.items()):
            if entry.kind != "folder" and before.entries.get(path) != entry:
                why = _judge(root, path, entry, after.entries, kept)
                if why:
                    found.append(LateCode(path=path, why=why))
    finally:
        os.close(root)
    return found


def set_aside(folder: Path, found: Iterable[LateCode], kept: Before, mark: str) -> list[SetAside]:
    """Rename each to a name that nothing runs, and put back what was there before.

    `mark` ends the new names.
    """
    root = os.open(folder, FOLDER)
    try:
        return [_set_aside(root, each, kept, os.fsencode(f".quarantined-{mark}")) for each in found]
    finally:
        os.close(root)


def _judge(
    root: int, path: bytes, entry: Entry, entries: Mapping[bytes, Entry], kept: Before
) -> str:
    if entry.kind == "link" and any(_fits(path, each) for each in _WHOLE):
        return "what it leads to is run from here"
    if path.rpartition(b"/")[2] == b".git":
        pointer = _read(root, path) or b""
        is_usual = entry.kind == "file" and _GIT_FILE.fullmatch(pointer) is not None
        return "" if is_usual else "git takes its configuration from where it leads"
    if _is_elsewhere(root, path, entries):
        return "git takes its configuration and hooks from where it leads"
    if _is_config(path, entries):
        content = None if entry.kind != "file" else _read(root, path)
        if content is None:
            return "git takes its configuration from it"
        old = git_config.commands(kept.contents.get(path, (b"", 0))[0])
        new = sorted(git_config.commands(content) - old)
        return f"git would run or reach something by it: {new[0][:200]}" if new else ""
    return _why(path, kept.hooks)


def _why(path: bytes, hooks: Iterable[str]) -> str:
    if path.endswith(_SAMPLE):
        return ""
    for pattern, why in PLACES.items():
        if _fits(path, pattern):
            return why
    text = shown(path)
    is_hook = any(f"/{text}".endswith(f"/{each}/{_base(text)}") for each in hooks)
    return _HOOK if is_hook or _is_bare_hook(path) else ""


def _is_bare_hook(path: bytes) -> bool:
    """A hook of a repository that has another name than `.git` has its own folder all the same."""
    return path.rpartition(b"/")[0].rpartition(b"/")[2] == b"hooks" and (
        path.rpartition(b"/")[2] in _HOOKS
    )


_HOOKS: Final = frozenset(
    b"applypatch-msg pre-applypatch post-applypatch pre-commit pre-merge-commit prepare-commit-msg"
    b" commit-msg post-commit pre-rebase post-checkout post-merge pre-push pre-receive update"
    b" proc-receive post-receive post-update reference-transaction push-to-checkout pre-auto-gc"
    b" post-rewrite sendemail-validate fsmonitor-watchman post-index-change".split()
)
"""githooks(5)."""


def _is_config(path: bytes, entries: Mapping[bytes, Entry]) -> bool:
    """Whether git reads its configuration from it: also in a repository of another name."""
    folder, _, name = path.rpartition(b"/")
    if name == b"config.worktree":
        return True
    if name != b"config":
        return False
    is_git = folder.rpartition(b"/")[2] == b".git" or b".git/" in folder + b"/"
    prefix = folder + b"/" if folder else b""
    return is_git or (prefix + b"HEAD" in entries and prefix + b"objects" in entries)


def _is_elsewhere(root: int, path: bytes, entries: Mapping[bytes, Entry]) -> bool:
    """Whether git would take a configuration from another folder, by a file `commondir`.

    That of a worktree leads to the repository that it lies in, which is judged by itself.
    """
    folder, _, name = path.rpartition(b"/")
    if name != b"commondir" or (folder + b"/HEAD" if folder else b"HEAD") not in entries:
        return False
    is_usual = f"/{shown(folder)}".rpartition("/")[0].endswith("/.git/worktrees")
    return not (is_usual and (_read(root, path) or b"").rstrip() == b"../..")


def _fits(path: bytes, pattern: str) -> bool:
    """Whether a path is one below any folder, whatever case a file system ignores."""
    text = shown(path).casefold()
    return fnmatchcase(text, pattern) or fnmatchcase(text, f"*/{pattern}")


def _base(text: str) -> str:
    return text.rpartition("/")[2]


def _read(root: int, path: bytes) -> bytes | None:
    """What stands in a small file; None for what is none or cannot be read."""
    try:
        opened = open_below(root, path)
    except OSError:
        return None
    with open(opened, "rb") as file:  # noqa: PTH123 (an open descriptor has no path)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return None
        content = file.read(_KEPT_BYTES + 1)
        return content if len(content) <= _KEPT_BYTES else None


def _set_aside(root: int, late: LateCode, kept: Before, mark: bytes) -> SetAside:
    folder, _, name = late.path.rpartition(b"/")
    moved = late.path + mark
    is_moved = is_restored = False
    try:
        at = open_below(root, folder, FOLDER) if folder else os.dup(root)
    except OSError:
        at = -1
    try:
        _rename(at, name, name + mark)
        is_moved = True
        _disarm(at, name + mark)
        known = kept.contents.get(late.path)
        if known is not None:
            is_restored = _restore(at, name, *known)
    except OSError:
        pass
    finally:
        if at >= 0:
            os.close(at)
    return SetAside(
        path=shown(late.path),
        why=late.why,
        moved_to=shown(moved) if is_moved else "",
        is_restored=is_restored,
    )


def _rename(folder: int, name: bytes, moved: bytes) -> None:
    """Rename it, also in a folder of ours that the agent has made read-only. Raises OSError."""
    try:
        os.rename(name, moved, src_dir_fd=folder, dst_dir_fd=folder)
    except PermissionError:
        os.fchmod(folder, stat.S_IMODE(os.fstat(folder).st_mode) | stat.S_IRWXU)
        os.rename(name, moved, src_dir_fd=folder, dst_dir_fd=folder)


def _disarm(folder: int, name: bytes) -> None:
    """Nobody can run it by mistake; a link stays one."""
    try:
        opened = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )
    except OSError:
        return
    try:
        os.fchmod(opened, 0o600)
    except OSError:
        pass
    finally:
        os.close(opened)


def _restore(folder: int, name: bytes, content: bytes, mode: int) -> bool:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(name, flags, mode, dir_fd=folder)
    with open(opened, "wb") as file:  # noqa: PTH123 (an open descriptor has no path)
        file.write(content)
        os.fchmod(opened, mode)
    return True
