"""A problem in the configuration: where it stands, what is wrong and what would be right."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ringfence.domain.error import UsageError

_SHOWN_CHARACTERS = 80
_MATCHED_CHARACTERS = 64
_MOST_PROBLEMS = 200

_SECRET_SHAPE = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|rk|pk|rf|hf|gh[opsu]|glpat|xox[a-z])[-_]|AKIA|ASIA|AIza|eyJ)"
    r"[-_A-Za-z0-9]{12,}"
    r"|(?=[A-Za-z+/=]*[0-9])(?=[0-9+/=]*[A-Za-z])[A-Za-z0-9+/=]{24,}"
)
"""Well-known beginnings of keys, and any long unbroken run of letters with digits."""

CREDENTIAL_WORD = re.compile(
    r"(^|[_.-])(api[_-]?key|key|token|secret|password|passwd|credentials?|auth|signature|sig)$",
    re.IGNORECASE,
)
"""Names of things that hold a secret, by their last word."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file, counted from 1; line 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Write it as compilers do: `ringfence.yaml:12:5`."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong at one place; `help` says what would be right."""

    place: Place
    what: str
    help: str = ""

    def render(self) -> str:
        """One line, and a second one for the help if there is any."""
        line = f"{self.place}: {self.what}"
        return f"{line}\n  {self.help}" if self.help else line


class ConfigurationError(UsageError):
    """The configuration cannot be used. Carries every problem that was found, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Take at least one problem; the message names the first and counts the others."""
        self.problems: Sequence[Problem] = tuple(sorted(set(problems)))
        first, others = self.problems[0], len(self.problems) - 1
        more = f" (and {others} more problem{'s' * (others > 1)})" if others else ""
        super().__init__(
            "configuration_invalid", f"{first.place}: {first.what}{more}", help=first.help
        )

    def render(self) -> str:
        """All problems, one after the other."""
        return "\n".join(problem.render() for problem in self.problems)


class Problems:
    """Collects problems, so that a file is judged as a whole."""

    def __init__(self, most: int | None = _MOST_PROBLEMS) -> None:
        """Begin without any; `most` are as many as are useful, None for no end."""
        self._found: list[Problem] = []
        self._most = most

    def add(self, place: Place, what: str, help: str = "") -> None:  # noqa: A002 (the field's name everywhere)
        """Note one. Raises ConfigurationError at once when there are too many to be useful."""
        self._found.append(Problem(place, what, help))
        if self._most is not None and len(self._found) >= self._most:
            self.check()

    def found(self) -> Sequence[Problem]:
        """What was found, each once, in file order."""
        return tuple(sorted(set(self._found)))

    def check(self) -> None:
        """Raise ConfigurationError if anything was found."""
        if self._found:
            raise ConfigurationError(self._found)


def shown(text: str) -> str:
    """Quote what a person wrote, unless it is shaped like a secret or is no plain text."""
    if not text.isprintable():
        return "`…`"
    text = _SECRET_SHAPE.sub("…", text)
    return f"`{text[:_SHOWN_CHARACTERS]}…`" if len(text) > _SHOWN_CHARACTERS else f"`{text}`"


def nearest(text: str, choices: Iterable[str]) -> str:
    """The help for a misspelt word: the nearest choice, or all of them if they are few."""
    known = list(choices)
    folded = {choice.lower(): choice for choice in known}
    close = difflib.get_close_matches(text[:_MATCHED_CHARACTERS].lower(), folded, n=1)
    if close:
        return f"did you mean {shown(folded[close[0]])}?"
    return f"known: {', '.join(map(shown, sorted(known)))}" if 0 < len(known) <= _FEW else ""


_FEW = 12
