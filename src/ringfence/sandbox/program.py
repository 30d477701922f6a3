"""What of the machine a command needs to be seen by its agent: itself, and what it came with."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringfence.sandbox.plan import Bind, is_below

_SHOWN: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
"""Parts of every sandbox."""
_LINE_BYTES: Final = 512
_PACKAGES: Final = "node_modules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A command as its agent will find it: the file, and what must be shown read-only for it.

    `folders` are what to add to PATH, so that what it starts by name is found too.
    """

    path: str
    binds: tuple[Bind, ...] = ()
    folders: tuple[str, ...] = ()


def find(name: str, search: str, workspace: str) -> Program | None:
    """The program that its caller means by a name; None if there is none.

    Only what a program came with is shown: its file, the packages it lies among, the interpreter
    that its first line names. Never a whole home folder.
    """
    given = shutil.which(name, path=search)
    if given is None:
        return None
    given = os.path.abspath(given)  # noqa: PTH100 (links must stay)
    needed = list(dict.fromkeys(_needed(given, search)))
    outside = [each for each in needed if not _is_there(each, workspace)]
    least = [
        each
        for each in outside
        if not any(other != each and is_below(each, other) for other in outside)
    ]
    folder = os.path.dirname(given)  # noqa: PTH120 (text, like its neighbours)
    folders = [folder] if not _is_there(folder, workspace) else []
    folders += [os.path.dirname(each) for each in _interpreters(given, search)]  # noqa: PTH120 (as above)
    shown = tuple(_bind(each) for each in least)
    own = tuple(each for each in dict.fromkeys(folders) if not _is_there(each, workspace))
    return Program(path=given, binds=shown, folders=own)


def _bind(path: str) -> Bind:
    """What is at a path, at that path: no link is followed when it is shown."""
    real = os.path.realpath(path)
    return Bind(real) if real == path else Bind(real, path)


def _needed(path: str, search: str) -> Iterator[str]:
    """The file by every name on the way to it, and what lies around it."""
    while True:
        if _is_shown(path):
            return
        yield _root_of(path)
        if not os.path.islink(path):  # noqa: PTH114 (text, like its neighbours)
            break
        target = os.readlink(path)  # noqa: PTH115 (as above)
        path = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120 (as above)
    real = os.path.realpath(path)
    if _is_shown(real):
        return
    yield _root_of(real)
    yield from _library_of(Path(real))
    for interpreter in _interpreters(real, search):
        yield from _needed(interpreter, search)


def _root_of(path: str) -> str:
    """The outermost folder of packages, or the virtual environment, that a file lies in."""
    parts = Path(path).parts
    if _PACKAGES in parts:
        return str(Path(*parts[: parts.index(_PACKAGES) + 1]))
    for folder in Path(path).parents:
        if (folder / "pyvenv.cfg").is_file():
            return str(folder)
    return path


def _library_of(path: Path) -> Iterator[str]:
    """A Python's own modules, where it was installed apart from the system's."""
    if path.name.startswith("python") and path.parent.name == "bin":
        library = path.parent.parent / "lib"
        yield from map(str, sorted([*library.glob("python3*"), *library.glob("libpython*")]))


def _interpreters(path: str, search: str) -> Iterator[str]:
    """What the first line of a script names."""
    try:
        with Path(path).open("rb") as file:
            line = file.readline(_LINE_BYTES)
    except OSError:
        return
    if not line.startswith(b"#!"):
        return
    words = line[2:].decode("utf-8", "replace").split()
    if not words:
        return
    if os.path.basename(words[0]) != "env":  # noqa: PTH119 (text, like its neighbours)
        if os.path.exists(words[0]):  # noqa: PTH110 (as above)
            yield words[0]  # else it is said that the command cannot begin
        return
    named = next((each for each in words[1:] if not each.startswith("-") and "=" not in each), "")
    found = shutil.which(named, path=search) if named else None
    if found is not None:
        yield os.path.abspath(found)  # noqa: PTH100 (links must stay)


def _is_there(path: str, workspace: str) -> bool:
    """Whether the agent sees it anyway."""
    return _is_shown(path) or is_below(path, workspace)


def _is_shown(path: str) -> bool:
    """Whether it is part of every sandbox."""
    return any(is_below(path, each) for each in _SHOWN)
