"""What goes wrong without stopping anybody: told to the log, to `/readyz` and on the record."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, final

from ringfence.domain.error import RingfenceError
from ringfence.transport.clock import WallWatch

_LOG = logging.getLogger(__name__)

CHECKPOINTS: Final = "checkpoints_failing"
WITNESS: Final = "witness_behind"
LEDGER: Final = "ledger_failing"
WORKERS: Final = "worker_failing"
SECRETS: Final = "secret_failing"
CLOCK: Final = "clock_set"

_TOLD_ELSEWHERE: Final = frozenset({LEDGER})
"""What `LedgerHealth` tells the log already."""

_CLOCK_SHOWN_US: Final = 60_000_000
_JUMP_S: Final = 1.0
"""Less is what time servers correct without setting the clock."""


class Failing(Protocol):
    """What is watched of a keeper or a ledger."""

    failure: RingfenceError | None


Note = Callable[[str, str, str], None]
"""Puts on the record what happened (`warning.raised`, `warning.cleared`), the warning, and why."""

Source = Callable[[], str]
"""Looks, and says what is wrong, in words that tell nothing of anybody; empty if nothing is."""


@final
class Warnings:
    """Watches whatever can go wrong; each change is told once."""

    def __init__(self, sources: Mapping[str, Source], note: Note) -> None:
        """Begin with nothing wrong; a source stands under the warning that it is for."""
        self._sources = dict(sources)
        self._note = note
        self._raised: dict[str, str] = {}

    @property
    def raised(self) -> Sequence[str]:
        """The warnings that hold now, as words that tell nothing of anybody."""
        return sorted(self._raised)

    def observe(self) -> None:
        """Look, and tell what has changed; call every few seconds."""
        now = {warning: why for warning, look in self._sources.items() if (why := look())}
        for warning in now.keys() - self._raised.keys():
            if warning not in _TOLD_ELSEWHERE:
                _LOG.warning("%s: %s", warning, now[warning])
            self._raised[warning] = now[warning]
            self._note("warning.raised", warning, now[warning])
        for warning in self._raised.keys() - now.keys():
            if warning not in _TOLD_ELSEWHERE:
                _LOG.info("%s no longer", warning)
            del self._raised[warning]
            self._note("warning.cleared", warning, "")


@final
class ClockSource:
    """Says for a minute that the wall clock was set."""

    def __init__(self, wall: WallWatch) -> None:
        """Begin with what the clock says now."""
        self._wall = wall
        self._why = ""
        self._until_us = 0

    def __call__(self) -> str:
        """What the clock did lately."""
        jumped_s, now_us = self._wall.jumped_s(), self._wall.monotonic_us()
        if abs(jumped_s) >= _JUMP_S:
            self._until_us = now_us + _CLOCK_SHOWN_US
            self._why = (
                f"the machine's clock went {jumped_s:.0f} s ahead: it was set, or the machine slept"
                if jumped_s > 0
                else f"the machine's clock was set {-jumped_s:.0f} s back; until the next start the"
                " record's time goes on from where it was"
            )
        return self._why if now_us < self._until_us else ""


def failure_of(part: Failing) -> Source:
    """Says what has failed, while it does."""
    return lambda: "" if part.failure is None else str(part.failure)


def sources(
    *, keeper: Failing, ledger: Failing, witnesses: Source, workers: Source, secrets: Source
) -> dict[str, Source]:
    """All that is watched of a plane."""
    return {
        CHECKPOINTS: failure_of(keeper),
        WITNESS: witnesses,
        LEDGER: failure_of(ledger),
        WORKERS: workers,
        SECRETS: secrets,
        CLOCK: ClockSource(WallWatch()),
    }
