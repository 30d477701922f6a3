"""OpenAI Chat Completions. Read `codec` first; `field` is the table of what each field means."""

from ringfence.protocols.chat.codec import ChatCodec

__all__ = ["ChatCodec"]
