"""Ids that count up, so that tests can name them."""

from ringfence.domain import identifier
from ringfence.domain.identifier import Prefix


class SequentialIds:
    """A `transport.entropy.Ids` whose nth id is always the same."""

    def __init__(self, unix_ms: int = 0) -> None:
        """All ids carry this time."""
        self._unix_ms = unix_ms
        self._made = 0

    def make(self, prefix: Prefix) -> str:
        """The next id of that type; one count over all types."""
        self._made += 1
        return identifier.make(prefix, self._unix_ms, self._made)
