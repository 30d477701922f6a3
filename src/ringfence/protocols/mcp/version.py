"""The revisions of MCP and their two eras."""

from enum import StrEnum
from typing import Final


class Era(StrEnum):
    """How a peer speaks."""

    LEGACY = "legacy"
    """A handshake (`initialize`), then a session."""
    MODERN = "modern"
    """No session: each request says who asks and what it can do."""


LEGACY: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN: Final = ("2026-07-28",)
LATEST_LEGACY: Final = LEGACY[-1]
LATEST: Final = MODERN[-1]
NO_HEADER: Final = ("2024-11-05", "2025-03-26")
"""Before 2025-06-18 the version was in no header."""


def era_of(version: str) -> Era:
    """The era of a revision; what is unknown is taken for a newer one."""
    return Era.LEGACY if version in LEGACY else Era.MODERN


def negotiated(asked: str) -> str:
    """What a server answers to a client's `initialize` (2025-11-25, Lifecycle)."""
    return asked if asked in LEGACY else LATEST_LEGACY
