"""Anthropic Messages. Read `codec` first; `field` is the table of what each field means."""

from ringfence.protocols.messages.codec import MessagesCodec

__all__ = ["MessagesCodec"]
