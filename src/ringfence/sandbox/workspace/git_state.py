"""What of git's own notes about unfinished work makes git run something when the work goes on.

Source: `sequencer.c` of git. A strategy names a program `git-merge-<strategy>`; with a slash in it
git takes it for a path from the folder that it stands in.
"""

import re
from typing import Final

from ringfence.sandbox.workspace import git_config

_EXEC: Final = re.compile(rb"^[ \t]*(?:x|exec)(?:[ \t\r]+(.*))?$", re.MULTILINE)

STEPS: Final = "rebase-merge/git-rebase-todo"
STRATEGY: Final = "rebase-merge/strategy"
OPTIONS: Final = "sequencer/opts"
STATES: Final = (STEPS, STRATEGY, OPTIONS)
"""In any repository's own folder."""


def commands(place: str, content: bytes) -> frozenset[str]:
    """What git would run by such a file, one of `STATES`."""
    if place == STEPS:
        return frozenset(_shown(each[1] or b"") for each in _EXEC.finditer(content))
    if place == STRATEGY:
        named = [content]
    else:
        settings = git_config.settings(content)
        named = [value.encode() for name, value in settings if name == "options.strategy"]
    return frozenset(_shown(each) for each in named if b"/" in each)


def _shown(command: bytes) -> str:
    return command.decode("utf-8", "backslashreplace").strip()
