"""Anthropic Messages. Read `codec` first; `field` is the table of what each field means."""

from ringfence.protocols.messages.codec import MessagesCodec
from ringfence.protocols.messages.reading import MessagesReader

__all__ = ["MessagesCodec", "MessagesReader"]
