"""Read stored bodies back, byte for byte, beside the writer or after it."""

from pathlib import Path
from typing import final

from ringfence.domain.error import UsageError
from ringfence.stores.body.address import matches
from ringfence.stores.body.content import Part, join
from ringfence.stores.body.place import Shelves
from ringfence.stores.body.sqlite import SqliteShelves
from ringfence.stores.compression import ZstdError


@final
class BodyReader:
    """Reads the bodies of all organisations; used by one thread."""

    def __init__(self, place: Path | Shelves) -> None:
        """Take where they are; a data folder stands for the files in it."""
        self._shelves = SqliteShelves(place) if isinstance(place, Path) else place
        self._keys: dict[str, bytes] = {}

    def get(self, organisation: str, action: str, part: Part) -> bytes | None:
        """The exact bytes, None if they are not stored. Raises as `Shelves`."""
        found = self._shelves.get(organisation, action, part)
        return join(found[1]) if found else None

    def holds(self, organisation: str, action: str, part: Part, committed: str) -> bool:
        """Whether the stored bytes are those that a leaf committed to."""
        found = self._shelves.get(organisation, action, part)
        key = self._shelves.key(organisation)
        if found is None or key is None:
            return False
        return matches(key, found[0], join(found[1]), committed)

    def fits(self, organisation: str, action: str, part: Part, committed: str) -> bool | None:
        """Whether the stored bytes are those that a leaf committed to; None if none are stored.

        What cannot be put together again does not fit.
        """
        try:
            found = self._shelves.get(organisation, action, part)
            key = self._keys.get(organisation) or self._shelves.key(organisation)
        except (ZstdError, UsageError):
            return False
        if found is None or key is None:
            return None
        self._keys[organisation] = key
        return matches(key, found[0], join(found[1]), committed)

    def close(self) -> None:
        """Let go of everything."""
        self._shelves.close()
