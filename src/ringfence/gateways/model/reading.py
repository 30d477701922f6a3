"""The codecs of each organisation: what they remember of one is never used for another."""

from collections.abc import Callable, Mapping
from typing import final

from ringfence.domain.model import Dialect
from ringfence.protocols.dialect import Codec


@final
class Codecs:
    """Codecs by organisation and dialect, made when they are first needed.

    Codecs remember the reading of large parts that come again unchanged; if organisations shared
    that, one could tell from the time of an answer what another has sent (I7). There are as
    many as organisations have called, so the configuration bounds them.
    """

    def __init__(self, make: Callable[[], Mapping[Dialect, Codec]]) -> None:
        """`make` gives one organisation its own."""
        self._make = make
        self._known: dict[str, Mapping[Dialect, Codec]] = {}

    def of(self, organisation: str, dialect: Dialect) -> Codec:
        """The codec of a dialect for an organisation."""
        known = self._known.get(organisation)
        if known is None:
            known = self._known[organisation] = self._make()
        return known[dialect]
