"""Colours where a person looks on, plain text everywhere else."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

_WIDTH_WITHOUT_TERMINAL = 100
_LEAST_WIDTH = 40

Paint = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Style:
    """How words are set off. Made for one stream; a plain one changes nothing."""

    is_coloured: bool = False

    @classmethod
    def of(cls, stream: TextIO) -> "Style":
        """Coloured on a terminal, unless `NO_COLOR` is set (no-color.org) or it is a dumb one."""
        is_wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(is_coloured=is_wanted and stream.isatty())

    def bold(self, text: str) -> str:
        """What a reader looks for first."""
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        """What is there for those who need it."""
        return self._paint("2", text)

    def good(self, text: str) -> str:
        """What went well."""
        return self._paint("32", text)

    def warning(self, text: str) -> str:
        """What deserves a look."""
        return self._paint("33", text)

    def bad(self, text: str) -> str:
        """What was refused or failed."""
        return self._paint("31", text)

    def name(self, text: str) -> str:
        """Names of agents, models and tools."""
        return self._paint("36", text)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.is_coloured and text else text


def terminal_width() -> int:
    """Cells in a line: of the terminal, of `COLUMNS`, or a readable number where there is none."""
    return max(_LEAST_WIDTH, shutil.get_terminal_size((_WIDTH_WITHOUT_TERMINAL, 24)).columns)
