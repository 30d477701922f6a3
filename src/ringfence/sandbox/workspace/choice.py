"""Which folder is a run's workspace, as its caller means it, and what is none in any tier.

What no agent may change, and what belongs to the plane, is for `mount_guard`: only a sandbox keeps
an agent to its workspace.
"""

import os
import stat
import unicodedata
from pathlib import Path
from typing import Final

from ringfence.domain.error import UsageError

_PATH_BYTES: Final = 4095
"""PATH_MAX of Linux without its end."""


def chosen(named: str | None) -> str:
    """The absolute path of the folder that was named, or of the present one.

    Links stay in it, so that whoever confines can refuse them. Raises UsageError `bad_workspace`.
    """
    if named is not None and not named.strip():
        help_ = "leave --workspace out for the present folder, or name one"
        raise _bad("no folder is named for the workspace", help_)
    try:
        path = os.path.abspath(named or ".")  # noqa: PTH100 (links must stay, to be refused)
    except FileNotFoundError as error:
        what = "the present folder does not exist any more"
        raise _bad(what, "change to one that exists, or name one with --workspace") from error
    _check_text(path)
    _check_folder(path)
    return path


def _check_text(path: str) -> None:
    """The record and the terminal take text, and errors must show what they mean."""
    told = ascii(path)[1:-1]
    try:
        length = len(path.encode())
    except UnicodeEncodeError as error:
        raise _bad(f"`{told}` is not UTF-8", "rename the folder") from error
    if length > _PATH_BYTES:
        raise _bad(f"`{told[:60]}…` is longer than a path may be", "name another folder")
    if any(unicodedata.category(each) == "Cc" for each in path):
        raise _bad(f"a control character stands in `{told}`", "rename the folder")


def _check_folder(path: str) -> None:
    try:
        found = Path(path).stat()
    except OSError as error:
        why = (error.strerror or "").lower()
        raise _bad(f"`{path}` cannot be opened: {why}", "name a folder that exists") from error
    if not stat.S_ISDIR(found.st_mode):
        raise _bad(f"`{path}` is not a folder", "name a folder")


def _bad(message: str, help_: str) -> UsageError:
    return UsageError("bad_workspace", message, help=help_)
