"""Where git on the host looks for hooks below a folder, by all that it is told.

The repository may lie around the folder, or be elsewhere (a worktree), and a person's or the
machine's own settings may name a folder below every repository. Git knows, and is asked.
"""

import os
import shutil
import subprocess
from typing import Final

from ringfence.sandbox.plan import is_below
from ringfence.sandbox.workspace import late_place

_ASKED: Final = ("config", "--type=path", "--null", "--get-all", "core.hooksPath")
_ANSWER_S: Final = 5.0
_ANSWER_BYTES: Final = 64 * 1024


def hook_folders(path: str) -> frozenset[str]:
    """Those that lie below the folder, as `late_place.why` takes them.

    To be asked before an agent is at work there. Empty where there is no git, or it does not say.
    """
    git = shutil.which("git")
    if git is None:
        return frozenset()
    try:
        said = subprocess.run(  # noqa: S603 (the host's own git, which runs nothing for this)
            [git, "-C", path, *_ASKED],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_ANSWER_S,
        ).stdout[:_ANSWER_BYTES]
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    named = (os.fsdecode(each) for each in said.split(b"\0") if each)
    return frozenset(_below(each, path) for each in named) - {""}


def _below(named: str, path: str) -> str:
    """What a setting means; one without a root is meant from the repository's own."""
    if not named.startswith("/"):
        return late_place.hook_folder(named)
    whole = os.path.normpath(named)
    if whole == path or not is_below(whole, path):
        return ""
    return late_place.hook_folder(os.path.relpath(whole, path))
