"""Sign checkpoints of one log in a thread of its own, so that no call waits for one.

A group is handed over once it is durable. A lone one is signed at once; after each signature the
thread rests for `_REST_S`, and what came meanwhile is covered by one more. Files are synced once a
second. So a killed process leaves the events of the last moment without a checkpoint, a power cut
those of about the last second; the next start covers them and says so in the checkpoint. A key that
was changed is noticed within a second, also while nothing happens, and vouches for all there is.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Self, final

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.stores.checkpoint.attestation import Attestation, Leaves

_REST_S: Final = 0.02
"""At most 50 signatures a second, each some 100 µs with its files: 0.5 % of a core."""

_SYNC_S: Final = 1.0
_PAUSE_S: Final = 1.0
_MOST_GROUPS: Final = 10_000
"""From so many on, while nothing can be written, groups are read again from the log later."""


class Packed(NamedTuple):
    """Leaves of one group as they were committed, joined by line feeds."""

    first: int
    size: int
    data: bytes


@final
class Keeper:
    """Keeps the checkpoints of a log up with its writer.

    `failure` tells why no checkpoint can be written; calls go on meanwhile, since the log itself is
    durable, and all is covered once it passes.
    """

    def __init__(self, attestation: Attestation, now_us: Callable[[], int]) -> None:
        """Use `start`."""
        self.failure: RingfenceError | None = None
        self._attestation = attestation
        self._now_us = now_us
        self._groups: deque[Packed] = deque()
        self._is_behind = False
        """Whether groups were let go, so that the log must be read again."""
        self._signal = threading.Event()
        self._is_closing = threading.Event()
        self._is_unsynced = False
        self._synced_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    @classmethod
    def start(cls, attestation: Attestation, now_us: Callable[[], int]) -> Self:
        """Begin. INVARIANT: called after fork. The attestation is closed with the keeper."""
        keeper = cls(attestation, now_us)
        keeper._thread.start()
        return keeper

    @property
    def latest(self) -> bytes:
        """The newest checkpoint."""
        return self._attestation.latest

    def append(self, group: Packed) -> None:
        """Take leaves that are durable, in the order of the log; never waits and never fails."""
        if len(self._groups) >= _MOST_GROUPS:
            self._is_behind = True
        else:
            self._groups.append(group)
        if not self._signal.is_set():
            self._signal.set()

    def close(self) -> None:
        """Cover everything that was handed over, sync, close."""
        self._is_closing.set()
        self._signal.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closing.is_set():
            self._signal.wait(_SYNC_S)  # also to notice that the key was changed
            self._signal.clear()
            self._try_round()
            self._is_closing.wait(_PAUSE_S if self.failure is not None else _REST_S)
        self._synced_s = 0.0
        self._try_round()
        self._attestation.close()

    def _try_round(self) -> None:
        try:
            self._round()
        except Exception as error:  # noqa: BLE001 (whatever it is: shown, and tried again)
            self._is_behind = True
            self.failure = _failure(error)
            self._signal.set()
        else:
            self.failure = None

    def _round(self) -> None:
        attestation = self._attestation
        before = attestation.latest
        if self._is_behind:
            self._catch_up()
        while self._groups:
            group = self._groups.popleft()
            if group.first + group.size - 1 <= attestation.size:
                continue  # read from the log already
            if not attestation.add(Leaves(group.first, group.data.split(b"\n"))):
                self._catch_up()
        if not attestation.is_signed:
            attestation.sign()
        if attestation.latest != before:
            self._is_unsynced = True
        if self._is_unsynced and time.monotonic() - self._synced_s >= _SYNC_S:
            attestation.sync()
            self._is_unsynced = False
            self._synced_s = time.monotonic()

    def _catch_up(self) -> None:
        self._groups.clear()
        self._is_behind = False
        self._attestation.catch_up(self._now_us())


def _failure(error: Exception) -> RingfenceError:
    if isinstance(error, RingfenceError):
        return error
    failure = UnavailableError("store_unavailable", f"checkpoints cannot be written: {error}")
    failure.__cause__ = error
    return failure
