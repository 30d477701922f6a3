"""The words of masking: what of a person must not be stored, and what was found of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Kinds of personal data that are known without being described."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskingRules:
    """What an organisation wants masked before it is stored; nothing unless it says so.

    `patterns` are regular expressions in RE2's syntax, by the name that stands in their place.
    """

    kinds: tuple[Kind, ...] = ()
    patterns: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to mask."""
        return bool(self.kinds or self.patterns)


class Found(NamedTuple):
    """Where something stands in a text (in characters), and by what name it was looked for."""

    start: int
    end: int
    name: str
