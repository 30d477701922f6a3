"""Identifiers: a type prefix and a UUIDv7, so that ids sort by time and say what they name."""

from typing import Literal

Prefix = Literal[
    "org", "team", "user", "agt", "crd", "key", "inv", "act", "log", "apr", "grt", "sbx"
]

_VERSION_7 = 0x7 << 76
_VARIANT_RFC = 0b10 << 62


def make(prefix: Prefix, unix_ms: int, randomness: int) -> str:
    """Build an id from a time in milliseconds and 74 random bits.

    Source: RFC 9562 section 5.7 (UUIDv7), written as 32 hexadecimal digits.
    """
    return f"{prefix}_{unix_ms & 0xFFFF_FFFF_FFFF:012x}{ending(randomness)}"


def ending(randomness: int) -> str:
    """The last 20 digits of an id, which follow its time."""
    rand_a = (randomness >> 62) & 0xFFF
    rand_b = randomness & 0x3FFF_FFFF_FFFF_FFFF
    return f"{_VERSION_7 | (rand_a << 64) | _VARIANT_RFC | rand_b:020x}"
