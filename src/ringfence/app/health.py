"""Tells the log when the ledger cannot be written and when it can again, and what was lost."""

import logging
from typing import Protocol

from ringfence.domain.error import RingfenceError, UnavailableError

_LOG = logging.getLogger(__name__)


class Written(Protocol):
    """What is watched of a ledger; `stores.ledger.LedgerWriter` implements it."""

    failure: RingfenceError | None
    lost: int
    groups: int
    events: int


def totals(ledger: Written) -> dict[str, int]:
    """What a ledger has counted, by the names that metrics have."""
    return {
        "ledger_groups": ledger.groups,
        "ledger_events": ledger.events,
        "ledger_lost_events": ledger.lost,
    }


class LedgerHealth:
    """Watches one ledger; each change is told once."""

    def __init__(self, ledger: Written) -> None:
        """Begin in good health."""
        self._ledger = ledger
        self._is_failing = False
        self._lost = 0

    def observe(self) -> None:
        """Look, and tell what has changed; call every few seconds."""
        failure = self._ledger.failure
        if failure is not None and not self._is_failing:
            _LOG.error("the ledger cannot be written; calls are refused meanwhile: %s", failure)
        elif failure is None and self._is_failing:
            _LOG.info("the ledger can be written again")
        self._is_failing = failure is not None
        lost = self._ledger.lost - self._lost
        if lost:
            self._lost = self._ledger.lost
            _LOG.error("events were lost, the ledger could not be written", extra={"events": lost})

    def conclude(self) -> None:
        """Look a last time, after the ledger was closed.

        Raises UnavailableError `events_lost`: the record of this run is not whole.
        """
        self.observe()
        if self._lost:
            raise UnavailableError(
                "events_lost",
                f"the ledger could not be written and lacks events of this run: {self._lost}",
                help="at the next start every call without an outcome is charged its reservation",
            )
