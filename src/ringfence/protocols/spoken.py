"""What a person said in a message of a conversation, in any dialect, read strictly."""

from typing import Final

from ringfence.protocols import strict_json

_SAID: Final = frozenset({"text", "input_text"})


def spoken(message: bytes) -> str:
    """The text of a message of the user's; empty for any other, and for results of tools.

    Raises PeerError `request_malformed` for one that a provider might read differently.
    """
    value = strict_json.parse(message)
    if isinstance(value, str):  # Responses: an input that is all text
        return value
    if not isinstance(value, dict) or not _is_users(value):
        return ""
    content = value.get("content", value.get("parts"))
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(filter(None, map(_text, parts)))


def _is_users(message: dict[str, object]) -> bool:
    """Gemini leaves the role out where it is the user's; what has neither is no message."""
    role = message.get("role", "user" if "parts" in message else "")
    return role == "user"


def _text(part: object) -> str:
    if not isinstance(part, dict) or part.get("type", "text") not in _SAID:
        return ""
    text = part.get("text", "")
    return text if isinstance(text, str) else ""
