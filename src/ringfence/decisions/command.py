"""Commands: by which name a program is known, and whether an agent may run it.

A name such as `git` stands for a program of the system, which an agent cannot have put there. A
program anywhere else is known by its whole path alone: a file named `git` in the workspace is
`/project/git`.
"""

from collections.abc import Sequence
from functools import lru_cache
from signal import Signals
from typing import Final

from ringfence.decisions import reason, rights
from ringfence.decisions.rights import Patterns
from ringfence.domain.agent import Agent
from ringfence.domain.sandbox import SYSTEM
from ringfence.domain.verdict import Reason

_USUAL: Final = 400
"""Characters of paths; what is longer was made up by somebody, and is not worth keeping."""

ENV: Final = ("/usr/bin/env", "/bin/env")
"""What first lines of scripts name to find their interpreter (`#!/usr/bin/env node`)."""


def names_of(
    path: str, writable: tuple[str, ...] = (), *, given: str = "", is_told: bool = False
) -> tuple[str, ...]:
    """The names by which scopes and policies may know a program; the usual one first.

    `path` is the file itself, absolute, with every link resolved; what could not be resolved is
    known as it was asked for, and so by no name of the system. `given` is the path that led there:
    where it is of the system too, its name counts (`python3` is a link to `python3.11`). `writable`
    are folders where the agent may write. Where the agent itself is all that tells (`is_told`), a
    name is taken for one of the system.
    """
    if len(path) + len(given) > _USUAL:
        return _names_of.__wrapped__(path, writable, given, is_told)
    return _names_of(path, writable, given, is_told)


@lru_cache(maxsize=4096)
def _names_of(
    path: str,
    writable: tuple[str, ...],
    given: str,
    is_told: bool,  # noqa: FBT001 (a key of the cache)
) -> tuple[str, ...]:
    if not path.startswith("/"):
        return (path,) if is_told and "/" not in path else (f"./{path}",)
    if not _is_of_system(path, writable):
        return (path,)
    paths = [path]
    if given != path and _is_of_system(given, writable):
        paths.insert(0, given)
    return (*dict.fromkeys(_base(each) for each in paths), *paths)


def _is_of_system(path: str, writable: Sequence[str]) -> bool:
    is_made = any(path.startswith(f"{folder.rstrip('/')}/") for folder in writable)
    return path.startswith(SYSTEM) and not is_made and not _climbs(path)


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def in_scope(agent: Agent, names: Sequence[str], bounds: Sequence[Patterns]) -> str | Reason:
    """By which of its names everybody who has a say allows a program, or a reason.

    `bounds` are the lists of the invocation, beside the agent's own.
    """
    every = (agent.scope.commands, *bounds)
    for name in names:
        if rights.within(name, every):
            return name
    return reason.out_of_scope(agent, "command", names[0], agent.scope.commands)


def looks_up(exe: str) -> bool:
    """Whether a program does nothing but look up another one that it was told to run.

    So does `env`, in the operator's command or in the first line of a script; what it finds is
    asked about by itself.
    """
    return exe in ENV


def signal_name(number: int) -> str:
    """The name of a signal that ended a process, for example `SIGKILL`."""
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def _climbs(path: str) -> bool:
    return "/../" in path or path.endswith("/..")
