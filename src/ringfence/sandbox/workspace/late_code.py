"""Files that nobody starts and that run all the same, later and on the host: what of them is new.

Where such files stand is in `late_place`; files of git are judged by what they say.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

from ringfence.sandbox.workspace import git_config, git_state, late_place
from ringfence.sandbox.workspace.folder import opened, reached
from ringfence.sandbox.workspace.tree import Entry, Snapshot, shown

_KEPT_BYTES: Final = 64 * 1024
_KEPT_ALL_BYTES: Final = 16 * 1024 * 1024
_KEPT_MOST: Final = 2048
"""So much of what is there before is kept, to be put back."""
_SLASH: Final = ord("/")
_POINTER: Final = b"gitdir: "
_INNER: Final = re.compile(rb"(?:^|/)\.git/(?:modules|worktrees)/")
"""Where the file `.git` of a submodule or a worktree leads."""
_WORKTREES: Final = "/.git/worktrees"
_JUDGED_BYTES: Final = 8 * 1024 * 1024
"""So much is read to be judged by what it says, at a second for each MiB; what comes beyond counts
as what it may be. A thousand ordinary repositories have less."""
_CROWDED: Final = "every file in it may run by itself, among more than can be looked at"
CLOCK_NS: Final = 1_000_000_000
"""A change this long before a run may be told as in it: file systems' clocks are coarse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateCode:
    """One such file, new or different after a run; `why` it is one."""

    path: bytes
    why: str


class Kept(NamedTuple):
    """What stood in one place: the bytes of a file, or where a link led."""

    content: bytes
    mode: int
    is_link: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """How a folder was before a run: all its entries, what is kept of late code, more hooks.

    `at_ns` is when (UTC): in a folder that was looked at in part, what is older was there.
    """

    snapshot: Snapshot
    kept: Mapping[bytes, Kept] = field(default_factory=dict)
    hooks: frozenset[str] = frozenset()
    at_ns: int = 0


def keep(
    root: int,
    snapshot: Snapshot,
    at_ns: int,
    until_ns: int | None = None,
    hooks: frozenset[str] = frozenset(),
) -> Before:
    """Read what is there of such files before a run, within a bound.

    What has changed since `until_ns` is not kept: others were at work there. `hooks` are folders in
    which git looks for hooks, beside those that configurations in the folder name.
    """
    kept: dict[bytes, Kept] = {}
    left_bytes = _KEPT_ALL_BYTES
    for path, entry in snapshot.entries.items():
        is_one = late_place.why(path, hooks) or _place_in_git(path, snapshot.entries)
        if not is_one or len(kept) >= _KEPT_MOST or left_bytes < 0:
            continue
        if entry.kind == "file" and not entry.mode & stat.S_IRUSR:
            continue  # to open it would change it
        if until_ns is not None and _changed_since(root, path, entry, until_ns - CLOCK_NS):
            continue
        found = _kept(root, path, entry)
        if found is not None:
            kept[path] = found
            left_bytes -= len(found.content)
    configs = (each.content for path, each in kept.items() if path.endswith(b"config"))
    named = {setting for each in configs for setting in git_config.hooks_paths(each)}
    hooks |= frozenset(late_place.hook_folder(each) for each in named) - {""}
    return Before(snapshot=snapshot, kept=kept, hooks=hooks, at_ns=at_ns)


def find(
    root: int, before: Before, after: Snapshot, crowded: frozenset[bytes] = frozenset()
) -> list[LateCode]:
    """What of such files is new or different; `crowded` folders are whole, whatever is in them."""
    old, reader = before.snapshot, _Reader(root)
    outer = sorted(path for path in crowded if crowded.isdisjoint(_above(path)))
    found = [LateCode(path=path, why=_CROWDED) for path in outer]
    for path, entry in sorted(after.entries.items()):
        if entry.kind == "folder" or old.entries.get(path) == entry:
            continue
        if crowded and not crowded.isdisjoint(_above(path)):
            continue
        why = _judge(reader, path, entry, after.entries, before)
        is_unknown = old.is_partial and path not in old.entries
        if why and not (is_unknown and _is_older(root, path, entry, before)):
            found.append(LateCode(path=path, why=why))
    return found


@final
class _Reader:
    """Reads what is judged by what it says, within a bound for all of one look."""

    def __init__(self, root: int) -> None:
        self.root = root
        self._left_bytes = _JUDGED_BYTES

    def content(self, path: bytes, entry: Entry) -> bytes | None:
        """As `_read`; None also for what is no file, and beyond the bound."""
        if entry.kind != "file":
            return None
        self._left_bytes -= min(entry.size, _KEPT_BYTES)
        return _read(self.root, path) if self._left_bytes >= 0 else None


def _judge(
    reader: _Reader, path: bytes, entry: Entry, entries: Mapping[bytes, Entry], before: Before
) -> str:
    """Why it is such a file; empty if it is none, or says what it said."""
    if entry.kind == "link" and late_place.leads_to_such(path):
        why = "what it leads to is run from here"
    elif _name(path) == ".git":
        pointer = reader.content(path, entry)
        why = "" if _is_usual(pointer or b"") else "git takes its configuration from where it leads"
    elif _is_elsewhere(reader, path, entries):
        why = "git takes its configuration and hooks from where it leads"
    elif place := _place_in_git(path, entries):
        return _judge_content(reader, path, entry, place, before)
    else:
        why = late_place.why(path, before.hooks)
    old = before.kept.get(path) if why else None
    return "" if old is not None and old == _kept(reader.root, path, entry) else why


def _judge_content(reader: _Reader, path: bytes, entry: Entry, place: str, before: Before) -> str:
    """By what it newly says."""
    content = reader.content(path, entry)
    if content is None:
        return "git takes its configuration from it"
    old = before.kept.get(path, Kept(b"", 0)).content
    new = sorted(_commands(place, content) - _commands(place, old))
    if place not in git_state.STATES:
        new += sorted(git_config.redirected(old, content))
    return f"git would run or reach something by it: {new[0][:200]}" if new else ""


def _commands(place: str, content: bytes) -> frozenset[str]:
    if place in git_state.STATES:
        return git_state.commands(place, content)
    return git_config.commands(content)


def _place_in_git(path: bytes, entries: Mapping[bytes, Entry]) -> str:
    """Which of git's files it is that count by what they say: also in other names' repositories."""
    text = shown(path).casefold()
    for each in git_state.STATES:
        if text.endswith(f"/{each}") or text == each:
            return each
    folder, _, name = text.rpartition("/")
    if name == "config.worktree":
        return "config"
    if name != "config":
        return ""
    is_git = folder.rpartition("/")[2] == ".git" or ".git/" in folder + "/"
    beside = path[: -len(name)]
    is_bare = beside + b"HEAD" in entries and beside + b"objects" in entries
    return "config" if is_git or is_bare else ""


def _is_elsewhere(reader: _Reader, path: bytes, entries: Mapping[bytes, Entry]) -> bool:
    """Whether git would take a configuration from another folder, by a file `commondir`.

    That of a worktree leads to the repository that it lies in, which is judged by itself.
    """
    name = _name(path)
    if name != "commondir" or path[: -len(name)] + b"HEAD" not in entries:
        return False
    folder = f"/{shown(path)}".rpartition("/")[0]
    is_usual = folder.rpartition("/")[0].endswith(_WORKTREES)
    return not (is_usual and (reader.content(path, entries[path]) or b"").rstrip() == b"../..")


def _is_usual(pointer: bytes) -> bool:
    """Whether a file `.git` leads into the repository above, as submodules' and worktrees' do."""
    path = pointer.removeprefix(_POINTER).rstrip()
    if not pointer.startswith(_POINTER) or b"\0" in path or b"\n" in path:
        return False
    # The first tells, however often it is repeated: an agent must not make this last for minutes.
    inner = _INNER.search(path)
    rest = b"" if inner is None else path[inner.end() :]
    return all(name not in {b"", b".."} for name in rest.split(b"/"))


def _is_older(root: int, path: bytes, entry: Entry, before: Before) -> bool:
    """Whether something that nobody saw before the run was there all the same."""
    return not _changed_since(root, path, entry, before.at_ns - CLOCK_NS, before.snapshot)


def _changed_since(
    root: int, path: bytes, entry: Entry, at_ns: int, known: Snapshot | None = None
) -> bool:
    """Whether it, or a folder that it lies in, was made or moved there since (by their ctime).

    A folder that was `known` in its place is in it; in others, what came into them counts too.
    """
    if entry.changed_ns >= at_ns:
        return True
    for folder in _above(path):
        seen = known.entries.get(folder) if known is not None else None
        try:
            with reached(root, folder) as at:
                found = os.fstat(at)
        except OSError:
            return True
        is_known = seen is not None and seen.inode == found.st_ino
        if not is_known and found.st_ctime_ns >= at_ns:
            return True
    return False


def _above(path: bytes) -> Iterator[bytes]:
    """The folders that it lies in, the outermost first."""
    return (path[:at] for at, sign in enumerate(path) if sign == _SLASH)


def _name(path: bytes) -> str:
    return shown(path.rpartition(b"/")[2]).casefold()


def _kept(root: int, path: bytes, entry: Entry) -> Kept | None:
    """What stands there; None for what is neither file nor link, is too large or cannot be read."""
    if entry.kind == "link":
        folder, _, name = path.rpartition(b"/")
        try:
            with reached(root, folder) as at:
                return Kept(os.readlink(name, dir_fd=at), entry.mode, is_link=True)
        except OSError:
            return None
    content = _read(root, path) if entry.kind == "file" else None
    return None if content is None else Kept(content, entry.mode)


def _read(root: int, path: bytes) -> bytes | None:
    """What stands in a small file; None for what is none or cannot be read."""
    try:
        with opened(root, path) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            content = _all_of(descriptor)
    except OSError:
        return None
    return content if len(content) <= _KEPT_BYTES else None


def _all_of(descriptor: int) -> bytes:
    content = b""
    while len(content) <= _KEPT_BYTES and (piece := os.read(descriptor, _KEPT_BYTES + 1)):
        content += piece
    return content
