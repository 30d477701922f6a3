"""Whether the command is there for the agent, looked at before anything starts."""

import os
import posixpath
import shutil
from typing import Final

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.sandbox import bwrap
from ringfence.sandbox.plan import JailPlan, is_below

_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


def check_command(plan: JailPlan) -> None:
    """Raises UsageError `no_command` if the agent would not find it."""
    name = plan.command[0]
    if find(plan) is None:
        outside = shutil.which(name)
        help_ = (
            f"it is at `{outside}`: show that folder to the sandbox, read-only" if outside else ""
        )
        raise UsageError("no_command", f"there is no program `{name}` in the sandbox", help=help_)


def find(plan: JailPlan) -> str | None:
    """The command's path as the agent will know it; None if it is not there."""
    name = plan.command[0]
    if "/" in name:
        candidates = [posixpath.normpath(posixpath.join(plan.start, name))]
    else:
        folders = plan.environment.get("PATH", _PATH).split(":")
        candidates = [
            posixpath.normpath(posixpath.join(plan.start, each, name)) for each in folders
        ]
    return next((path for path in candidates if _is_program(plan, path)), None)


def _is_program(plan: JailPlan, path: str) -> bool:
    host = on_host(plan, path)
    return host is not None and os.path.isfile(host) and os.access(host, os.X_OK)  # noqa: PTH113 (text, like its neighbours)


def on_host(plan: JailPlan, path: str) -> str | None:
    """The host's path of what the agent sees at a path; None if that is not of the host."""
    if plan.tier is SandboxTier.NONE:
        return path
    binds = sorted((*plan.read_only, *plan.writable), key=lambda bind: len(bind.seen))
    for bind in reversed(binds):
        if is_below(path, bind.seen):
            return bind.source + path[len(bind.seen) :]
    return path if bwrap.is_shown(path) else None
