"""Errors that tell a model nothing it can act on, from what tools have answered."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from ringfence.analysis.tool_lint.finding import Finding, Severity

_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_EMPTY_WORDS: Final = frozenset(
    [
        "an",
        "and",
        "at",
        "bad",
        "by",
        "call",
        "called",
        "cause",
        "code",
        "could",
        "couldn",
        "did",
        "do",
        "does",
        "error",
        "errors",
        "exception",
        "execute",
        "executing",
        "execution",
        "fail",
        "failed",
        "failing",
        "failure",
        "fatal",
        "for",
        "from",
        "generic",
        "has",
        "have",
        "http",
        "in",
        "input",
        "internal",
        "invalid",
        "is",
        "isn",
        "it",
        "its",
        "message",
        "mcp",
        "method",
        "not",
        "no",
        "none",
        "null",
        "object",
        "occurred",
        "of",
        "on",
        "oops",
        "or",
        "other",
        "our",
        "please",
        "problem",
        "process",
        "processing",
        "raised",
        "reason",
        "request",
        "response",
        "result",
        "returned",
        "retry",
        "run",
        "running",
        "server",
        "something",
        "sorry",
        "status",
        "support",
        "that",
        "the",
        "there",
        "this",
        "to",
        "tool",
        "try",
        "try",
        "again",
        "undefined",
        "unable",
        "unexpected",
        "unhandled",
        "unknown",
        "unspecified",
        "was",
        "we",
        "went",
        "while",
        "with",
        "wrong",
        "your",
        "again",
        "later",
        "contact",
    ]
)
"""Words with which an error is called one; whatever else it says may help."""
_TRACE: Final = re.compile(r"Traceback \(most recent call last\)|^\s+at \S+ ?\(", re.MULTILINE)
_LEAST_RATIO: Final = 0.5
_SHOWN_CHARACTERS: Final = 120
_FIX: Final = (
    "let it say which input is wrong, what was given and what is allowed; or rewrite it for models "
    "with `errors` in a view of the tool"
)


class Told(NamedTuple):
    """One error that a tool has answered."""

    tool: str
    text: str


def says_nothing(text: str) -> bool:
    """Whether nothing in an error says what was wrong, or what could be done."""
    words = {word.lower() for word in _WORD.findall(text)}
    return words <= _EMPTY_WORDS


def is_trace(text: str) -> bool:
    """Whether an error is what a program prints for whoever wrote it."""
    return _TRACE.search(text) is not None


def judge(errors: Iterable[Told]) -> tuple[Finding, ...]:
    """Tools of whose errors half or more help no model, by name."""
    by_tool: dict[str, list[str]] = {}
    for each in errors:
        by_tool.setdefault(each.tool, []).append(each.text)
    found: list[Finding] = []
    for tool, texts in sorted(by_tool.items()):
        mute = [text for text in texts if says_nothing(text)]
        traces = [text for text in texts if is_trace(text)]
        if len(mute) >= _LEAST_RATIO * len(texts):
            found.append(_finding("error_says_nothing", tool, mute, len(texts), "say nothing"))
        elif len(traces) >= _LEAST_RATIO * len(texts):
            found.append(_finding("error_is_a_trace", tool, traces, len(texts), "are stack traces"))
    return tuple(found)


def _finding(rule: str, tool: str, texts: list[str], of: int, how: str) -> Finding:
    line = " ".join(texts[0].split())
    shown = line[:_SHOWN_CHARACTERS] + ("…" if len(line) > _SHOWN_CHARACTERS else "")
    example = f", for example `{shown}`" if shown else ""
    return Finding(
        rule=rule,
        severity=Severity.WARNING,
        tool=tool,
        what=f"{len(texts)} of its {of} errors on record {how}{example}",
        fix=_FIX,
    )
