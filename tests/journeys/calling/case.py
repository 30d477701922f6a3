"""The cases of tool calls."""

from enum import StrEnum


class Case(StrEnum):
    """What happens to a call."""

    CALL = "call"
    FORBIDDEN = "forbidden"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    STATE = "state"
    SHARED = "shared"
    PROCESS = "process"


COUNTED = frozenset({Case.STATE, Case.SHARED})
"""Those in which two clients count at the same time; in `SHARED` with one token."""
HELD = frozenset({Case.APPROVED, Case.DENIED, Case.EXPIRED})
"""Those in which a person is asked."""
