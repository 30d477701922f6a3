"""Gemini `generateContent`. Read `codec` first; `field` is the table of what each field means."""

from ringfence.protocols.gemini.codec import GeminiCodec

__all__ = ["GeminiCodec"]
