"""Which interpreter the first line of a script names, as the kernel will read it."""

import os
import stat
from typing import Final

from ringfence.transport.kernel import mount

LINE_BYTES: Final = 256
"""BINPRM_BUF_SIZE: the kernel looks at no more."""


def interpreter_of(pid: int, path: str) -> str:
    """The interpreter of a program, every link resolved; empty for what is no script.

    `path` is the program as the waiting process `pid` sees it. What cannot be told is empty: the
    program is then judged by itself alone, and what it becomes is looked at afterwards.
    """
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        named = named_in(_beginning(root, path))
        if not named:
            return ""
        found = mount.open_in_root(root, named)
        try:
            return _text(os.readlink(f"/proc/self/fd/{found}"))  # noqa: PTH115 (of a descriptor)
        finally:
            os.close(found)
    except OSError:
        return ""
    finally:
        os.close(root)


def named_in(beginning: bytes) -> str:
    """What the first line names; empty if it names nothing (execve(2), "Interpreter scripts")."""
    if not beginning.startswith(b"#!"):
        return ""
    words = beginning[2:].split(b"\n", 1)[0].strip(b" \t").split()
    return _text(words[0]) if words else ""


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
