"""OpenAI Responses. Read `codec` first; `field`, `tool` and `item` hold the tables."""

from ringfence.protocols.responses.codec import ResponsesCodec
from ringfence.protocols.responses.reading import ResponsesReader

__all__ = ["ResponsesCodec", "ResponsesReader"]
