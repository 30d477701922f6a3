"""OpenAI Responses. Read `codec` first; `field`, `tool` and `item` hold the tables."""

from ringfence.protocols.responses.codec import ResponsesCodec

__all__ = ["ResponsesCodec"]
