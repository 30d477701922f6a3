"""Which endpoint a path names, under whatever prefix a provider puts before it."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from ringfence.domain.model import Dialect

_SUFFIXES = (
    ("/chat/completions", Dialect.CHAT),
    ("/responses", Dialect.RESPONSES),
    ("/embeddings", Dialect.EMBEDDINGS),
    ("/messages/count_tokens", Dialect.COUNT_TOKENS),
    ("/messages", Dialect.MESSAGES),
)
_GEMINI = re.compile(r"/models/([^/]+):(generateContent|streamGenerateContent)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A model endpoint; Gemini names model and stream in the path."""

    dialect: Dialect
    model: str = ""
    stream: bool = False


def find(path: str) -> Route | None:
    """The endpoint of a path, None if there is none."""
    for suffix, dialect in _SUFFIXES:
        if path.endswith(suffix):
            return Route(dialect=dialect)
    match = _GEMINI.search(path)
    if match is None:
        return None
    stream = match[2] == "streamGenerateContent"
    return Route(dialect=Dialect.GEMINI, model=unquote(match[1]), stream=stream)
