"""The words of tool dialects: which schemas of tools a provider accepts."""

from enum import StrEnum


class ToolDialect(StrEnum):
    """What judges the tools of a request; `strict` where the tool itself asks for it."""

    OPENAI = "openai"
    OPENAI_STRICT = "openai_strict"
    ANTHROPIC = "anthropic"
    ANTHROPIC_STRICT = "anthropic_strict"
    GEMINI = "gemini"
    GEMINI_JSON = "gemini_json"
    """Gemini's `parametersJsonSchema`, which takes JSON Schema as it is."""
    BEDROCK = "bedrock"
    MISTRAL = "mistral"
