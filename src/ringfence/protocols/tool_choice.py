"""Which tools a model request insists on, by name.

Sources: OpenAI API reference, `tool_choice` (Chat Completions, Responses); Anthropic, Messages,
`tool_choice`; Gemini API, `ToolConfig.functionCallingConfig`.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.model import Dialect
from ringfence.protocols import strict_json
from ringfence.protocols.request import LocatedRequest

_FIELD: Final[Mapping[Dialect, str]] = MappingProxyType(
    {
        Dialect.CHAT: "tool_choice",
        Dialect.RESPONSES: "tool_choice",
        Dialect.MESSAGES: "tool_choice",
        Dialect.COUNT_TOKENS: "tool_choice",
        Dialect.GEMINI: "toolConfig",
    }
)
_GEMINI: Final = ("functionCallingConfig", "function_calling_config")
_GEMINI_NAMES: Final = ("allowedFunctionNames", "allowed_function_names")
_INNER: Final = ("function", "custom", "allowed_tools")
"""Members of OpenAI's choices in which names, or lists of tools with names, stand."""


def chosen(request: LocatedRequest) -> frozenset[str]:
    """The names that a request's choice of tools states; none if it leaves the choice free."""
    span = request.spans.get(_FIELD.get(request.dialect, ""))
    if span is None:
        return frozenset()
    try:
        found = strict_json.parse(request.body[span[0] : span[1]])
    except (msgspec.DecodeError, ValueError, RecursionError, PeerError):
        return frozenset()
    if not isinstance(found, dict):
        return frozenset()
    return frozenset(_gemini(found) if request.dialect is Dialect.GEMINI else _names(found))


def _names(choice: Mapping[str, object]) -> Iterator[str]:
    name = choice.get("name")
    if isinstance(name, str):
        yield name
    for key in _INNER:
        inner = choice.get(key)
        if isinstance(inner, dict):
            yield from _names(inner)
    tools = choice.get("tools")
    for each in tools if isinstance(tools, list) else ():
        if isinstance(each, dict):
            yield from _names(each)


def _gemini(config: Mapping[str, object]) -> Iterator[str]:
    calling = next((config[key] for key in _GEMINI if key in config), None)
    if isinstance(calling, dict):
        named = next((calling[key] for key in _GEMINI_NAMES if key in calling), None)
        for each in named if isinstance(named, list) else ():
            if isinstance(each, str):
                yield each
