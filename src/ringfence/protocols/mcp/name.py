"""Merged names: `server__tool`, never longer than what providers of models take."""

import hashlib
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 64
"""Characters; the limit of OpenAI and Anthropic for the name of a function."""
_HASH_DIGITS: Final = 10
SEPARATOR: Final = "__"


def merged(server: str, name: str) -> str:
    """The merged name. A long one is cut and ends in a hash of the whole."""
    whole = f"{server}{SEPARATOR}{name}"
    if len(whole) <= LONGEST:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{whole[: LONGEST - _HASH_DIGITS - 1]}_{digest}"


def server_of(name: str) -> str:
    """The server that a merged name begins with; empty if it is none."""
    server, separator, _ = name.partition(SEPARATOR)
    return server if separator else ""


def own(name: str, known: Iterable[str]) -> str:
    """The server's own name for a merged one. `known` are the server's names, for cut ones.

    INVARIANT: `own(merged(s, n), …) == n` wherever n is known, or short enough not to be cut.
    """
    server, _, rest = name.partition(SEPARATOR)
    if len(name) == LONGEST:
        for each in known:
            if merged(server, each) == name:
                return each
    return rest
