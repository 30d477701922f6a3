"""Tools of one server together: how many there are, and whether models can tell them apart."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from ringfence.analysis.tool_lint.finding import Finding, Severity
from ringfence.analysis.tool_text import skeleton
from ringfence.domain.tool import ToolDefinition

MOST_TOOLS: Final = 40
"""Cursor takes no more in all; every model picks worse among more."""
_ALIKE: Final = 0.8
_FEWEST_WORDS: Final = 5
_COMPARED: Final = 300
_WORD: Final = re.compile(r"[a-z0-9]+")
_SMALL: Final = frozenset(
    {"a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "it", "of", "on", "or", "that"}
    | {"the", "this", "to", "with"}
)


def count(tools: Sequence[ToolDefinition]) -> Iterator[Finding]:
    """Not too many, and not none."""
    if not tools:
        yield Finding(
            rule="no_tools",
            severity=Severity.ERROR,
            tool="",
            what="the server lists no tool at all",
            fix="see its log: it may lack a credential, or have failed to start",
        )
    elif len(tools) > MOST_TOOLS:
        yield Finding(
            rule="many_tools",
            severity=Severity.WARNING,
            tool="",
            what=f"the server lists {len(tools)} tools; models choose worse among many",
            fix="let each agent's scope name the few it needs, or hide tools with views",
        )


def alike(tools: Sequence[ToolDefinition]) -> Iterator[Finding]:
    """Names that look the same, and descriptions that say the same."""
    words = {id(each): _words(each) for each in tools[:_COMPARED]}
    for one, other in combinations(tools[:_COMPARED], 2):
        if skeleton(one.key.name) == skeleton(other.key.name):
            yield Finding(
                rule="names_alike",
                severity=Severity.ERROR,
                tool=other.key.name,
                what=f"its name looks like `{one.key.name}`",
                fix="rename one of them",
            )
            continue
        mine, theirs = words[id(one)], words[id(other)]
        if min(len(mine), len(theirs)) < _FEWEST_WORDS:
            continue
        if len(mine & theirs) / len(mine | theirs) >= _ALIKE:
            yield Finding(
                rule="overlap",
                severity=Severity.WARNING,
                tool=other.key.name,
                what=f"its description says the same as that of `{one.key.name}`",
                fix="say in each when to use it and not the other, or offer one of them alone",
                place="description",
            )


def _words(tool: ToolDefinition) -> frozenset[str]:
    return frozenset(_WORD.findall(tool.description.casefold())) - _SMALL
