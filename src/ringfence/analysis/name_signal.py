"""Whether names that are looked up carry something out: long labels, or letters as of chance."""

import math
from collections import Counter
from typing import Final

import msgspec

_LONG: Final = 30
"""Host names that people make have shorter labels; those of content networks hold hashes of 32 and
more, but in domains that are in scope."""
_DENSE: Final = 3.5
"""Bits per character of the longest label: words have less, base32 up to 5."""
_DENSE_FROM: Final = 24


class NameSignal(msgspec.Struct, frozen=True):
    """`longest` is the length of the longest label, `entropy` that of it, in bits per character."""

    longest: int
    entropy: float

    @property
    def is_suspicious(self) -> bool:
        """Whether it looks like data and not like a name."""
        return self.longest >= _LONG or (self.entropy >= _DENSE and self.longest >= _DENSE_FROM)


def signal_of(name: str) -> NameSignal:
    """What a name looks like."""
    label = max(name.split("."), key=len)
    size = len(label)
    counts = Counter(label).values()
    entropy = -sum(count / size * math.log2(count / size) for count in counts) if size else 0.0
    return NameSignal(size, round(entropy, 1))
