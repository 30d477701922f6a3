"""The models endpoints of the three families of providers."""

from collections.abc import Sequence
from typing import Any

from ringfence.testing.model.emission import CREATED_S

_CREATED = "2026-01-01T00:00:00Z"


def openai(models: Sequence[str]) -> dict[str, Any]:
    """`GET /v1/models` as OpenAI answers it."""
    data = [
        {"id": name, "object": "model", "created": CREATED_S, "owned_by": "scripted"}
        for name in models
    ]
    return {"object": "list", "data": data}


def anthropic(models: Sequence[str]) -> dict[str, Any]:
    """`GET /v1/models` as Anthropic answers it."""
    data = [
        {"type": "model", "id": name, "display_name": name, "created_at": _CREATED}
        for name in models
    ]
    ends = {"first_id": models[0], "last_id": models[-1]} if models else {}
    return {"data": data, "has_more": False, **ends}


def gemini(models: Sequence[str]) -> dict[str, Any]:
    """`GET /v1beta/models` as Gemini answers it."""
    methods = ["generateContent", "streamGenerateContent"]
    entries = [
        {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}
        for name in models
    ]
    return {"models": entries}
