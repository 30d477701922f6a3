"""Which reader makes which dialect's stored bodies readable."""

from collections.abc import Mapping

from ringfence.protocols.dialect import Reader


def readers() -> Mapping[str, Reader]:
    """By the `operation` of an intent."""
    return {}
