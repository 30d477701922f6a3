"""An answer in no dialect yet: the tokens to emit, how it ends and what it is said to have used."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

from ringfence.domain.usage import Usage
from ringfence.testing.model.script import Finish

CREATED_S = 1_767_225_600
"""The time that every answer claims (2026-01-01T00:00:00Z), so that answers do not vary."""

# A word with the white space after it, in pieces of at most 12 characters.
_TOKEN = re.compile(r"\s*\S{1,12}\s*")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text as the pieces a stream carries: `count` of them, beginning anew when they run out."""

    pieces: tuple[str, ...] = ()
    count: int = 0

    def __iter__(self) -> Iterator[str]:
        """The pieces in order."""
        return islice(cycle(self.pieces), self.count)

    def __bool__(self) -> bool:
        """Whether there is anything to emit."""
        return self.count > 0

    @property
    def text(self) -> str:
        """All of it in one."""
        return "".join(self)

    def first(self, count: int) -> "Tokens":
        """At most so many of them."""
        return Tokens(self.pieces, min(self.count, count))


def split(text: str) -> Tokens:
    """Cut a text into the pieces that count as its tokens."""
    pieces = tuple(_TOKEN.findall(text))
    return Tokens(pieces, len(pieces))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call to emit; `arguments` is the text of a JSON object, unless the script broke it."""

    id: str
    name: str
    arguments: str
    is_custom: bool = False
    namespace: str = ""

    @property
    def pieces(self) -> Tokens:
        """The arguments as a stream carries them."""
        return split(self.arguments)

    @property
    def tokens(self) -> int:
        """One for the name, and the arguments like any text."""
        return 1 + self.pieces.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """What the model says: first reasoning, then text, then tool calls."""

    number: int
    """Counts the answers of this server; ids are made from it."""
    model: str
    reasoning: Tokens = Tokens()
    is_reasoning_sealed: bool = False
    """Whether reasoning comes with something that a client hands back in its place."""
    text: Tokens = Tokens()
    tool_calls: tuple[Call, ...] = ()
    finish: Finish = "stop"
    usage: Usage | None = None
    answers: int = 1
    """How often all of it is given (`n`, `candidateCount`)."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The part of an answer that an output limit lets through."""

    reasoning: Tokens
    text: Tokens
    tool_calls: tuple[Call, ...]
    is_cut: bool

    @property
    def tokens(self) -> int:
        """How many tokens that are."""
        called = sum(call.tokens for call in self.tool_calls)
        return self.reasoning.count + self.text.count + called


def fit(reasoning: Tokens, text: Tokens, calls: tuple[Call, ...], limit: int | None) -> Fitted:
    """Cut an answer at its output limit; a tool call is given whole or not at all."""
    if limit is None:
        return Fitted(reasoning, text, calls, is_cut=False)
    left = max(0, limit)
    given_reasoning = reasoning.first(left)
    left -= given_reasoning.count
    given_text = text.first(left)
    left -= given_text.count
    given_calls: list[Call] = []
    for call in calls:
        if call.tokens > left:
            break
        given_calls.append(call)
        left -= call.tokens
    is_cut = (
        given_reasoning.count < reasoning.count
        or given_text.count < text.count
        or len(given_calls) < len(calls)
    )
    return Fitted(given_reasoning, given_text, tuple(given_calls), is_cut)
