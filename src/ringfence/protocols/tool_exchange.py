"""Makes a stored tool call readable: its arguments and its result, as a trace shows them."""

import msgspec

from ringfence.domain.exchange import Message, Part, Reading
from ringfence.protocols import tool_result


class ToolReader:
    """Implements `dialect.Reader` for calls of tools."""

    def read_exchange(self, request: bytes, response: bytes, *, streamed: bool) -> Reading:
        """Read the stored arguments and the stored result."""
        del streamed
        parts = [Part(kind="tool_call", text=_text(request))]
        if response:
            parts.append(Part(kind="tool_result", text=_said(response)))
        return Reading(answer=Message(role="tool", parts=parts))


def _said(response: bytes) -> str:
    found = tool_result.read(response)
    if found is None:
        return _text(response)
    return "\n".join(found.texts) or _text(found.structured or response)


def _text(raw: bytes) -> str:
    try:
        return msgspec.json.format(raw, indent=-1).decode("utf-8", "replace")
    except (msgspec.DecodeError, RecursionError):
        return raw.decode("utf-8", "replace")
