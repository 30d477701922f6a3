"""The words of callers: how directly a person stands behind a call."""

from enum import StrEnum


class CallerTier(StrEnum):
    """How directly a person stands behind a call; known from the credential alone."""

    INTERACTIVE = "interactive"
    SUBAGENT = "subagent"
    API = "api"
    BACKGROUND = "background"
