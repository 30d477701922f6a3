"""Which interpreter the first line of a script names, as the kernel will read it."""

import os
import re
import stat
from typing import Final

import msgspec

from ringfence.transport.kernel import mount

LINE_BYTES: Final = 256
"""BINPRM_BUF_SIZE: the kernel looks at no more."""
_NESTED: Final = 5
"""How many scripts may be interpreters of each other; the kernel gives up before."""
_BLANK: Final = re.compile(rb"[ \t]+")


class FirstLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a script names, every link resolved.

    `interpreter` is the file that its first line names and `runs` what its process will be: the
    same, if that is no script, too. `words` are what the kernel puts before the script's own path.
    """

    interpreter: str
    runs: str
    words: tuple[str, ...]


def first_line(pid: int, path: str) -> FirstLine | None:
    """What the first line of a program says; None for what is no script.

    `path` is the program as the waiting process `pid` sees it. What cannot be told is None: the
    program is then judged by itself alone, and what it becomes is looked at afterwards.
    """
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read(root, path)
    except OSError:
        return None
    finally:
        os.close(root)


def _read(root: int, path: str) -> FirstLine | None:
    files: list[str] = []
    words: tuple[str, ...] = ()
    for _ in range(_NESTED):
        named = words_in(_beginning(root, path))
        if not named:
            break
        path, words = _resolved(root, named[0]), (*named, *words)
        files.append(path)
    return FirstLine(interpreter=files[0], runs=files[-1], words=words) if files else None


def _resolved(root: int, path: str) -> str:
    found = mount.open_in_root(root, path)
    try:
        return _text(os.readlink(f"/proc/self/fd/{found}"))  # noqa: PTH115 (of a descriptor)
    finally:
        os.close(found)


def words_in(beginning: bytes) -> tuple[str, ...]:
    """The interpreter that the first line names, and all after it as one word if there is more.

    Empty if it names nothing (execve(2), "Interpreter scripts"; `fs/binfmt_script.c`).
    """
    if not beginning.startswith(b"#!"):
        return ()
    line = re.split(rb"[\n\0]", beginning[2:], maxsplit=1)[0].strip(b" \t")
    return tuple(map(_text, _BLANK.split(line, maxsplit=1))) if line else ()


def _beginning(root: int, path: str) -> bytes:
    """The first bytes of a regular file that may be executed; nothing of anything else.

    INVARIANT: whoever opens waits for nobody: an agent that holds a lease on a file (fcntl(2))
    would keep us for as long as the kernel lets it, and all that wait for an answer.
    """
    found = mount.open_in_root(root, path)
    try:
        mode = os.fstat(found).st_mode
        if not stat.S_ISREG(mode) or not mode & 0o111:
            return b""
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        opened = os.open(f"/proc/self/fd/{found}", flags)
    finally:
        os.close(found)
    try:
        return os.read(opened, LINE_BYTES)
    finally:
        os.close(opened)


def _text(raw: bytes | str) -> str:
    return os.fsencode(raw).decode("utf-8", "backslashreplace")
