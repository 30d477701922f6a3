"""Take bodies from the ledger's writer and put them on disk in a thread of their own."""

import threading
from collections import deque
from pathlib import Path
from typing import Final, Self, final

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.stores.body.address import Addresses, Salts, commitment
from ringfence.stores.body.content import Body, Part
from ringfence.stores.body.place import Shelves
from ringfence.stores.body.shelf import Entry, Shelf
from ringfence.stores.body.sqlite import SqliteShelves

_LIMIT_BYTES: Final = 64 * 1024 * 1024
_BATCH_BYTES: Final = 4 * 1024 * 1024
_BATCH_ENTRIES: Final = 256
_LINGER_S: Final = 0.05
"""How long a body waits for company: nobody waits for it, and a large transaction costs less for
each: 43 µs of CPU per call with 100 calls in one, 59 µs with 10."""
_OPEN_SHELVES: Final = 16


@final
class BodyStore:
    """The writer of all organisations' bodies.

    Nobody ever waits for it: when more than `limit_bytes` stand in line, further bodies are
    refused, counted in `not_stored`, and their leaves say so by having no commitment. A body that
    was accepted and then could not be written counts too; its leaf has a commitment that nothing
    answers to.
    """

    def __init__(self, place: Shelves, limit_bytes: int) -> None:
        """Use `open`."""
        self.not_stored = 0
        self.failure: RingfenceError | None = None
        self._place = place
        self._limit_bytes = limit_bytes
        self._lock = threading.Condition()
        self._line: deque[Entry] = deque()
        self._bytes = 0
        self._is_closing = False
        self._hurry = threading.Event()
        """Set while somebody waits for all to be written."""
        self._addresses: dict[str, Addresses] = {}
        self._salts = Salts()
        self._shelves: dict[str, Shelf] = {}
        self._thread = threading.Thread(target=self._run, name="bodies", daemon=True)

    @classmethod
    def open(cls, place: Path | Shelves, *, limit_bytes: int = _LIMIT_BYTES) -> Self:
        """Start the thread; a data folder stands for the files in it. INVARIANT: after fork."""
        store = cls(SqliteShelves(place) if isinstance(place, Path) else place, limit_bytes)
        store._thread.start()
        return store

    def admit(
        self, organisation: str, action: str, part: Part, talk: str, body: Body
    ) -> Entry | None:
        """Reserve room for a body and compute its address; None if it will not be stored.

        What is admitted must be given to `put` or `drop`. For the ledger's writer thread alone.
        """
        size = len(body.whole)
        with self._lock:
            is_full = self._bytes + size > self._limit_bytes or self._is_closing
            if not is_full:
                self._bytes += size
        if is_full:
            self._lose(1)
            return None
        try:
            addresses = self._addresses.get(organisation) or self._open_key(organisation)
        except RingfenceError as error:
            self.failure = error
            self._release(size)
            self._lose(1)
            return None
        salt = self._salts.make()
        return Entry(organisation, action, part, talk, body, addresses.whole(body.whole), salt)

    def put(self, entries: list[Entry]) -> None:
        """Write admitted bodies, soon."""
        with self._lock:
            self._line.extend(entries)
            self._lock.notify()

    def drop(self, entries: list[Entry]) -> None:
        """Give back the room of admitted bodies that are not to be written."""
        self._release(sum(len(entry.body.whole) for entry in entries))

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything that was put is on disk; false if that took too long."""
        self._hurry.set()
        try:
            with self._lock:
                return self._lock.wait_for(lambda: self._bytes == 0, timeout_s)
        finally:
            self._hurry.clear()

    def close(self) -> None:
        """Write what stands in line and stop."""
        self._hurry.set()
        with self._lock:
            self._is_closing = True
            self._lock.notify_all()
        self._thread.join()

    def _open_key(self, organisation: str) -> Addresses:
        rows = self._place.open(organisation)
        key = rows.key
        rows.close()
        addresses = self._addresses[organisation] = Addresses(key)
        return addresses

    def _release(self, size: int) -> None:
        with self._lock:
            self._bytes -= size
            self._lock.notify_all()

    def _lose(self, count: int) -> None:
        with self._lock:
            self.not_stored += count

    def _run(self) -> None:
        while batch := self._next_batch():
            by_organisation: dict[str, list[Entry]] = {}
            for entry in batch:
                by_organisation.setdefault(entry.organisation, []).append(entry)
            for organisation, entries in by_organisation.items():
                self._write(organisation, entries)
            self.drop(batch)
        for shelf in self._shelves.values():
            shelf.close()

    def _next_batch(self) -> list[Entry]:
        """What stands in line, up to a bound; empty when the store is closed."""
        with self._lock:
            self._lock.wait_for(lambda: self._line or self._is_closing)
        if len(self._line) < _BATCH_ENTRIES:
            self._hurry.wait(_LINGER_S)
        with self._lock:
            batch: list[Entry] = []
            size = 0
            while self._line and size < _BATCH_BYTES and len(batch) < _BATCH_ENTRIES:
                entry = self._line.popleft()
                size += len(entry.body.whole)
                batch.append(entry)
            return batch

    def _write(self, organisation: str, entries: list[Entry]) -> None:
        try:
            self._shelf(organisation).add(entries)
            self.failure = None
        except RingfenceError as error:
            self.failure = error
            self._lose(len(entries))
        except Exception as error:  # noqa: BLE001 (the thread must live on; the loss is shown)
            self.failure = UnavailableError("store_unavailable", f"bodies were not stored: {error}")
            self._lose(len(entries))

    def _shelf(self, organisation: str) -> Shelf:
        shelf = self._shelves.pop(organisation, None)
        if shelf is None:
            while len(self._shelves) >= _OPEN_SHELVES:
                self._shelves.pop(next(iter(self._shelves))).close()
            shelf = Shelf(self._place.open(organisation))
        self._shelves[organisation] = shelf
        return shelf


def committed(entry: Entry) -> str:
    """The commitment that the leaf of this body's event holds."""
    return commitment(entry.salt, entry.address)
