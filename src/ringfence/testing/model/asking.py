"""The tool that a user asks for in plain words, so that a script fits every agent's tools."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ringfence.testing.model.question import Question, Tool

_SAMPLES: Mapping[str, Any] = {
    "string": "example",
    "integer": 1,
    "number": 1,
    "boolean": True,
    "array": [],
    "object": {},
}


def asked_tool(question: Question) -> Tool | None:
    """The declared tool that the user's text asks for, by its name or the part after `__`."""
    found: tuple[int, Tool] | None = None
    for tool in question.tools:
        match = _asking(tool.name).search(question.conversation.user)
        if match and (found is None or match.start() < found[0]):
            found = (match.start(), tool)
    return found[1] if found else None


@lru_cache(maxsize=256)
def _asking(name: str) -> re.Pattern[str]:
    names = "|".join(re.escape(part) for part in (name, name.rpartition("__")[2]))
    return re.compile(
        rf"\b(?:call|use|run)\s+(?:the\s+)?(?:tool\s+)?[`'\"]?(?:{names})\b", re.IGNORECASE
    )


def asked_arguments(user: str, tool: Tool) -> str:
    """The JSON object that follows the tool's name, else one made from the tool's schema."""
    match = _asking(tool.name).search(user)
    brace = user.find("{", match.end()) if match else -1
    if brace >= 0:
        try:
            _, end = json.JSONDecoder().raw_decode(user, brace)
            return user[brace:end]
        except json.JSONDecodeError:
            pass
    if tool.is_custom:
        return user
    properties = tool.schema.get("properties") or {}
    required = tool.schema.get("required") or []
    sample = {name: _sample(properties.get(name) or {}) for name in required}
    return json.dumps(sample, ensure_ascii=False)


def _sample(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 (any JSON value)
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    return _SAMPLES.get(str(schema.get("type", "string")).lower(), "example")
