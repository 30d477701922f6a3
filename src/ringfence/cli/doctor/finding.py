"""What the doctor says of one thing."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: all is well, worth knowing, or something that keeps the plane from working.

    `help` may have several lines.
    """

    level: Literal["ok", "note", "bad"]
    what: str
    help: str = ""
