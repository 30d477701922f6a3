"""Gemini `generateContent`. Read `codec` first; `field` is the table of what each field means."""

from ringfence.protocols.gemini.codec import GeminiCodec
from ringfence.protocols.gemini.reading import GeminiReader

__all__ = ["GeminiCodec", "GeminiReader"]
