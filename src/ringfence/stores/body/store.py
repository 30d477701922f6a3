"""Take bodies from the ledger's writer and put them on disk in a thread of their own."""

import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
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
_BATCH_ENTRIES: Final = 1024
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
        self.failure: RingfenceError | None = None
        self._place = place
        self._limit_bytes = limit_bytes
        self._line: deque[Entry] = deque()
        # Each of these has one side that changes it, so that neither waits for a lock.
        self._admitted_bytes = self._refused = 0
        self._written_bytes = self._lost = 0
        self._is_closing = False
        self._is_idle = False
        self._signal = threading.Lock()
        self._signal.acquire()
        self._hurry = threading.Event()
        """Set while somebody waits for all to be written."""
        self._progress = threading.Condition()
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

    @property
    def not_stored(self) -> int:
        """How many bodies were refused or could not be written."""
        return self._refused + self._lost

    @property
    def ident(self) -> int:
        """The thread's id, to read its CPU clock."""
        return self._thread.ident or 0

    def prepare(self, organisations: Iterable[str]) -> None:
        """Open what is needed to admit bodies of these, so that `admit` finds it in memory.

        May wait for the disk; what fails is tried again by `admit`.
        """
        for organisation in organisations:
            if organisation not in self._addresses:
                with suppress(RingfenceError):
                    self._open_key(organisation)

    def admit(
        self, organisation: str, action: str, part: Part, talk: str, body: Body
    ) -> Entry | None:
        """Reserve room for a body and compute its address; None if it will not be stored.

        What is admitted must be given to `put` or `drop`. These three are for one thread alone.
        """
        size = len(body.whole)
        if self._in_flight_bytes() + size > self._limit_bytes or self._is_closing:
            self._refused += 1
            return None
        addresses = self._addresses.get(organisation)
        if addresses is None:
            try:
                addresses = self._open_key(organisation)
            except RingfenceError as error:
                self.failure = error
                self._refused += 1
                return None
        self._admitted_bytes += size
        return Entry(
            organisation, action, part, talk, body, addresses.whole(body.whole), self._salts.make()
        )

    def put(self, entries: list[Entry]) -> None:
        """Write admitted bodies, soon."""
        self._line.extend(entries)
        if self._is_idle:
            self._wake()

    def drop(self, entries: list[Entry]) -> None:
        """Give back the room of admitted bodies that are not to be written."""
        self._admitted_bytes -= _size(entries)
        with self._progress:
            self._progress.notify_all()

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything that was put is on disk; false if that took too long."""
        self._hurry.set()
        try:
            with self._progress:
                return self._progress.wait_for(lambda: not self._in_flight_bytes(), timeout_s)
        finally:
            self._hurry.clear()

    def close(self) -> None:
        """Write what stands in line and stop."""
        self._is_closing = True
        self._hurry.set()
        self._wake()
        self._thread.join()

    def _in_flight_bytes(self) -> int:
        return self._admitted_bytes - self._written_bytes

    def _wake(self) -> None:
        with suppress(RuntimeError):  # awake already, or about to be
            self._signal.release()

    def _open_key(self, organisation: str) -> Addresses:
        rows = self._place.open(organisation)
        key = rows.key
        rows.close()
        addresses = self._addresses[organisation] = Addresses(key)
        return addresses

    # From here on: the thread.

    def _run(self) -> None:
        while batch := self._next_batch():
            by_organisation: dict[str, list[Entry]] = {}
            for entry in batch:
                by_organisation.setdefault(entry.organisation, []).append(entry)
            for organisation, entries in by_organisation.items():
                self._write(organisation, entries)
            self._written_bytes += _size(batch)
            with self._progress:
                self._progress.notify_all()
        for shelf in self._shelves.values():
            shelf.close()

    def _next_batch(self) -> list[Entry]:
        """What stands in line, up to a bound; empty when the store is closed."""
        line = self._line
        while not (line or self._is_closing):
            self._is_idle = True
            # Look again: what came in before the flag was seen did not wake us.
            if not (line or self._is_closing):
                self._signal.acquire()
            self._is_idle = False
        if len(line) < _BATCH_ENTRIES:
            self._hurry.wait(_LINGER_S)
        batch: list[Entry] = []
        size = 0
        while line and size < _BATCH_BYTES and len(batch) < _BATCH_ENTRIES:
            entry = line.popleft()
            size += len(entry.body.whole)
            batch.append(entry)
        return batch

    def _write(self, organisation: str, entries: list[Entry]) -> None:
        try:
            self._shelf(organisation).add(entries)
            self.failure = None
        except RingfenceError as error:
            self.failure = error
            self._lost += len(entries)
        except Exception as error:  # noqa: BLE001 (the thread must live on; the loss is shown)
            self.failure = UnavailableError("store_unavailable", f"bodies were not stored: {error}")
            self._lost += len(entries)

    def _shelf(self, organisation: str) -> Shelf:
        shelf = self._shelves.pop(organisation, None)
        if shelf is None:
            while len(self._shelves) >= _OPEN_SHELVES:
                self._shelves.pop(next(iter(self._shelves))).close()
            shelf = Shelf(self._place.open(organisation))
        self._shelves[organisation] = shelf
        return shelf


def _size(entries: list[Entry]) -> int:
    return sum([len(entry.body.whole) for entry in entries])


def committed(entry: Entry) -> str:
    """The commitment that the leaf of this body's event holds."""
    return commitment(entry.salt, entry.address)
