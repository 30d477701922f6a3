"""Whether the command is there for the agent, looked at before anything starts."""

import os
import posixpath
import shutil
from typing import Final

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.sandbox import bwrap, first_line
from ringfence.sandbox.plan import SandboxPlan, is_below

_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


def check_command(plan: SandboxPlan) -> None:
    """Raises UsageError `no_command` if the agent would not find it, or could not begin it."""
    name = plan.command[0]
    found = find(plan)
    if found is None:
        raise _missing(plan, name)
    interpreter = _interpreter(plan, found)
    if interpreter.startswith("/") and not _is_program(plan, interpreter):
        raise UsageError(
            "no_command",
            f"`{name}` begins with `#!{interpreter}`, which is no program of the sandbox",
            help="mend its first line, or show that program to the sandbox, read-only",
        )


def find(plan: SandboxPlan) -> str | None:
    """The command's path as the agent will know it; None if it is not there."""
    return next((path for path in _candidates(plan) if _is_program(plan, path)), None)


def _candidates(plan: SandboxPlan) -> list[str]:
    name = plan.command[0]
    folders = [""] if "/" in name else plan.environment.get("PATH", _PATH).split(":")
    return [posixpath.normpath(posixpath.join(plan.start, each, name)) for each in folders]


def _missing(plan: SandboxPlan, name: str) -> UsageError:
    """Why there is no such program: it is none, it is elsewhere, or it is nowhere."""
    if not name:
        return UsageError("no_command", "the command is empty", help="name a program after `--`")
    hosts = [on_host(plan, path) for path in _candidates(plan)] if "/" in name else []
    if any(each and os.path.isdir(each) for each in hosts):  # noqa: PTH112 (text, like its neighbours)
        return UsageError("no_command", f"`{name}` is a folder", help="name a program")
    if any(each and os.path.isfile(each) for each in hosts):  # noqa: PTH113 (as above)
        help_ = "make it so with `chmod +x`, or name its interpreter before it"
        return UsageError("no_command", f"`{name}` is not executable", help=help_)
    outside = shutil.which(name)
    if outside:
        help_ = f"it is at `{outside}`: show that folder to the sandbox, read-only"
    elif "/" in name:
        help_ = f"nothing is at `{_candidates(plan)[0]}`"
    else:
        help_ = "it is looked for in the sandbox's PATH, which `-- printenv PATH` shows"
    return UsageError("no_command", f"there is no program `{name}` in the sandbox", help=help_)


def _interpreter(plan: SandboxPlan, path: str) -> str:
    """What the first line of a script names; empty for what is none or cannot be read."""
    host = on_host(plan, path)
    try:
        with open(host or path, "rb") as file:  # noqa: PTH123 (text, like its neighbours)
            return next(iter(first_line.words_in(file.read(first_line.LINE_BYTES))), "")
    except OSError:
        return ""


def _is_program(plan: SandboxPlan, path: str) -> bool:
    host = on_host(plan, path)
    return host is not None and os.path.isfile(host) and os.access(host, os.X_OK)  # noqa: PTH113 (text, like its neighbours)


def on_host(plan: SandboxPlan, path: str) -> str | None:
    """The host's path of what the agent sees at a path; None if that is not of the host."""
    if plan.tier is SandboxTier.NONE:
        return path
    binds = sorted((*plan.read_only, *plan.writable), key=lambda bind: len(bind.seen))
    for bind in reversed(binds):
        if is_below(path, bind.seen):
            return bind.source + path[len(bind.seen) :]
    return path if bwrap.is_shown(path) else None
