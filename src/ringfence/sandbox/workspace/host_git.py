"""Where git on the host looks for hooks below a folder, by all that it is told.

The repository may lie around the folder, or be elsewhere (a worktree), and a person's or the
machine's own settings may name a folder below every repository. Git knows, and is asked.
"""

import os
import shutil
import subprocess
from typing import Final

from ringfence.sandbox.plan import PROGRAMS, is_below
from ringfence.sandbox.workspace import late_place

_ASKED: Final = ("config", "--type=path", "--null", "--get-all", "core.hooksPath")
_ANSWER_S: Final = 5.0
_ANSWER_BYTES: Final = 64 * 1024
_SAID: Final = frozenset({0, 1})
"""Its exit codes where it could read all settings; 1 if none names what was asked for."""
_PASSED_ON: Final = ("GIT_CONFIG", "HOME", "XDG_CONFIG_HOME")


def hook_folders(path: str) -> frozenset[str]:
    """Those that lie below the folder, as `late_place.why` takes them.

    To be asked before an agent is at work there. Empty where there is no git, or it does not say.

    INVARIANT: an earlier run may have left anything in the folder, so git is one where no agent
    can write, wherever the caller's own PATH leads first; and where it cannot read the folder's
    settings, the person's and the machine's still count.
    """
    git = shutil.which("git", path=PROGRAMS)
    if git is None:
        return frozenset()
    said = _ask(git, path)
    if said is None:
        said = _ask(git, "/") or b""
    named = (os.fsdecode(each) for each in said.split(b"\0") if each)
    return frozenset(_below(each, path) for each in named) - {""}


def _ask(git: str, folder: str) -> bytes | None:
    """What holds there; None if it cannot say."""
    passed_on = {key: value for key, value in os.environ.items() if key.startswith(_PASSED_ON)}
    try:
        done = subprocess.run(  # noqa: S603 (the host's own git, which runs nothing for this)
            [git, "-C", folder, *_ASKED],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_ANSWER_S,
            env={**passed_on, "PATH": PROGRAMS},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout[:_ANSWER_BYTES] if done.returncode in _SAID else None


def _below(named: str, path: str) -> str:
    """What a setting means; one without a root is meant from the repository's own."""
    if not named.startswith("/"):
        return late_place.hook_folder(named)
    whole = os.path.normpath(named)
    if whole == path or not is_below(whole, path):
        return ""
    return late_place.hook_folder(os.path.relpath(whole, path))
