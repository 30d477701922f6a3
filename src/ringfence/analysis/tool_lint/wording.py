"""What a tool says of itself: names, descriptions, and what has no place in them."""

import re
from collections.abc import Iterator
from typing import Final

from ringfence.analysis.tool_lint.finding import Finding, Severity
from ringfence.analysis.tool_text import hidden
from ringfence.domain.tool import ToolDefinition

SHORTEST_DESCRIPTION: Final = 20
LONGEST_DESCRIPTION: Final = 1024
"""OpenAI refused longer ones for years, and models read them on every call."""
LONGEST_NAME: Final = 42
"""64 characters, less `server__` with the longest name of a server."""

_USUAL_NAME: Final = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_VAGUE: Final = frozenset(
    {"action", "call", "data", "do", "exec", "execute", "fetch", "func", "function", "get"}
    | {"handle", "helper", "invoke", "main", "make", "manage", "operation", "perform", "process"}
    | {"query", "request", "run", "set", "test", "tool", "update", "utility"}
)
_ORDERS: Final = (
    (r"ignore (all |any |the )?(previous|prior|above|other|earlier)\b", "overrides instructions"),
    (r"disregard (all |any |the )?(previous|prior|above|other)\b", "overrides instructions"),
    (
        r"(do not|don't|never|must not) (tell|inform|mention|show|reveal)[^.]{0,40}\buser\b",
        "wants something kept from the user",
    ),
    (r"without (telling|informing|asking|notifying) (the )?user", "wants the user kept out"),
    (r"<\s*(important|system|instructions?|secret|hidden)\b[^>]*>", "speaks as the system"),
    (r"\b(system prompt|developer message)\b", "speaks of the system prompt"),
    (r"(before|prior to) (using|calling|invoking) (this|any)( other)? tool", "orders another act"),
    (
        r"(you|the (assistant|model|agent)) (must|should|shall|have to) (always |first |also )",
        "gives orders beyond its own use",
    ),
    (r"(~/\.|/etc/|id_rsa|\.ssh\b|\.env\b|credentials? file|private key)", "names secret files"),
    (r"(send|post|upload|forward|exfiltrate)[^.]{0,60}\bhttps?://", "sends something elsewhere"),
    (r"(base64|rot13|hex)[- ]?(encode|decode)[^.]{0,40}(instruction|following)", "hides text"),
)
_INJECTED: Final = tuple((re.compile(pattern, re.IGNORECASE), what) for pattern, what in _ORDERS)


def names(tool: ToolDefinition) -> Iterator[Finding]:
    """A name that models can write, and that says what the tool does."""
    name = tool.key.name
    if not _USUAL_NAME.fullmatch(name):
        yield Finding(
            rule="name_form",
            severity=Severity.WARNING,
            tool=name,
            what="the name is not made of lower-case words joined by `_`",
            fix="rename it like `search_tickets`, or give it a view with such a name",
        )
    if name.casefold() in _VAGUE:
        yield Finding(
            rule="name_vague",
            severity=Severity.WARNING,
            tool=name,
            what="the name does not say what the tool works on",
            fix="name the thing too: `get_invoice` instead of `get`",
        )
    if len(name) > LONGEST_NAME:
        yield Finding(
            rule="name_long",
            severity=Severity.WARNING,
            tool=name,
            what=f"with its server's name it can pass 64 characters ({len(name)} without)",
            fix=f"use at most {LONGEST_NAME}",
        )


def descriptions(tool: ToolDefinition) -> Iterator[Finding]:
    """A description that is there, says something, and can be read on every call."""
    text = tool.description.strip()
    if not text:
        yield Finding(
            rule="no_description",
            severity=Severity.ERROR,
            tool=tool.key.name,
            what="it has no description: the model can only guess when to call it",
            fix="say in one or two sentences what it does, when to use it, and what it gives back",
            place="description",
        )
    elif len(text) < SHORTEST_DESCRIPTION or text.casefold() == tool.key.name.replace("_", " "):
        yield Finding(
            rule="short_description",
            severity=Severity.WARNING,
            tool=tool.key.name,
            what="the description says no more than the name",
            fix="say when to use it, what it gives back, and what it does not do",
            place="description",
        )
    elif len(text) > LONGEST_DESCRIPTION:
        yield Finding(
            rule="long_description",
            severity=Severity.WARNING,
            tool=tool.key.name,
            what=f"the description has {len(text)} characters, which every call pays for",
            fix=f"keep it under {LONGEST_DESCRIPTION}; examples belong to parameters",
            place="description",
        )


def injections(tool: ToolDefinition, place: str, text: str) -> Iterator[Finding]:
    """Instructions to the model that have no place in a tool, and characters nobody sees."""
    for pattern, what in _INJECTED:
        match = pattern.search(text)
        if match is not None:
            yield Finding(
                rule="injection",
                severity=Severity.ERROR,
                tool=tool.key.name,
                what=f"the text {what}: `{match[0][:60]}`",
                fix="take it out; if you do not own the server, do not accept the tool",
                place=place,
            )
            break
    signs = hidden(text)
    if signs:
        yield Finding(
            rule="hidden_characters",
            severity=Severity.ERROR,
            tool=tool.key.name,
            what=f"it holds characters that people do not see ({', '.join(signs[:3])})",
            fix="take them out; if you do not own the server, do not accept the tool",
            place=place,
        )
