"""Cuts a policy file into its policies, so that each problem has a file and a line.

Cedar's parser names no place. This knows of its grammar only what ends a policy: a `;` outside of
brackets, texts and comments. Source: https://docs.cedarpolicy.com/policies/syntax-grammar.html.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>//[^\n]*)
      | (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<open>[(\[{])
      | (?P<close>[)\]}])
      | (?P<end>;)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(r"`([^`]+)`")
_NAME = re.compile(r"[A-Za-z0-9_]+(?=[^A-Za-z0-9_]*$)")


@dataclass(frozen=True, slots=True)
class Piece:
    """One policy as it is written, from its first annotation to its `;`; lines count from 1."""

    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """What is wrong with a policy, and where; `help` says what would be right."""

    file: str
    line: int
    what: str
    help: str = ""


def cut(text: str) -> Sequence[Piece]:
    """Every policy of a file, in order; what follows the last `;` is one too."""
    return tuple(_pieces(text))


def _pieces(text: str) -> Iterator[Piece]:
    start, depth, line, begun = -1, 0, 1, 1
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind not in {"space", "comment"} and start < 0:
            start, begun = token.start(), line
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(depth - 1, 0)
        elif kind == "end" and depth == 0:
            yield Piece(text[start : token.end()], begun)
            start = -1
        line += token[0].count("\n")
    if start >= 0:
        yield Piece(text[start:].rstrip(), begun)


def line_of(piece: Piece, message: str) -> int:
    """The line that a message of Cedar is about: where the first thing that it quotes stands."""
    for quoted in _QUOTED.findall(message):
        name = _NAME.search(quoted)
        for word in (quoted, name[0] if name else quoted):
            at = piece.text.find(word)
            if at >= 0:
                return piece.line + piece.text.count("\n", 0, at)
    return piece.line
