import logging

import pytest

from ringfence.app.health import LedgerHealth
from ringfence.domain.error import RingfenceError, UnavailableError


class Ledger:
    """A ledger of which only the health matters."""

    def __init__(self) -> None:
        self.failure: RingfenceError | None = None
        self.lost = 0
        self.groups = 0
        self.events = 0


def test_failing_and_recovering_are_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ledger = Ledger()
    health = LedgerHealth(ledger)
    health.observe()
    assert caplog.messages == []
    ledger.failure = UnavailableError("store_unavailable", "disk full")
    health.observe()
    health.observe()
    [told] = caplog.messages
    assert "cannot be written" in told
    assert "disk full" in told
    ledger.failure = None
    health.observe()
    health.observe()
    assert caplog.messages[1:] == ["the ledger can be written again"]
    health.conclude()


def test_what_was_lost_is_told_and_ends_in_an_error(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger()
    health = LedgerHealth(ledger)
    ledger.lost = 2
    health.observe()
    health.observe()
    assert [each.events for each in caplog.records] == [2]  # type: ignore[attr-defined] # an extra
    ledger.lost = 3
    with pytest.raises(UnavailableError, match="run: 3") as raised:
        health.conclude()
    assert raised.value.code == "events_lost"
