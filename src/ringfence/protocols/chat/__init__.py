"""OpenAI Chat Completions. Read `codec` first; `field` is the table of what each field means."""

from ringfence.protocols.chat.codec import ChatCodec
from ringfence.protocols.chat.reading import ChatReader

__all__ = ["ChatCodec", "ChatReader"]
