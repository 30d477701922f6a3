"""What a lint has found in a tool."""

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How much a finding matters; an error makes the tool fail, or dangerous."""

    NOTE = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that makes a tool worse for a model, and what mends it.

    `rule` is a stable name. `place` says where in the definition, empty for the whole tool; `tool`
    is empty for what is about all tools of a server together.
    """

    rule: str
    severity: Severity
    tool: str
    what: str
    fix: str
    place: str = ""
