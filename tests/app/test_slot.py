import pytest

from ringfence.app.message import Message, Pulse
from ringfence.app.remote_worker import RemoteWorker, unexpected
from ringfence.app.slot import (
    GIVEN_UP_US,
    LONGEST_PAUSE_S,
    SILENT_US,
    STEADY_S,
    Slot,
    pause_after,
)
from ringfence.testing.clock import ManualClock

SECOND_US = 1_000_000


class Nobody:
    def told(self, _: RemoteWorker, message: Message) -> None:
        raise unexpected(message)

    def asked(self, _: RemoteWorker, message: Message) -> Message:
        raise unexpected(message)


def filled(clock: ManualClock) -> Slot:
    slot = Slot(number=2, log="log_2")
    slot.worker = RemoteWorker(2, clock, Nobody())
    slot.worker.is_serving = True
    slot.since_us = clock.monotonic_us()
    return slot


def pulse(trouble: str = "") -> Pulse:
    return Pulse(
        epoch=3,
        open_invocations=4,
        connections=5,
        memory_bytes=6,
        cpu_us=7,
        inquiries=0,
        lapses=0,
        lost=0,
        trouble=trouble,
    )


def test_pauses_double_up_to_a_bound() -> None:
    pauses = [pause_after(failures) for failures in range(40)]
    assert pauses[:4] == [0.0, 0.1, 0.2, 0.4]
    assert pauses == sorted(pauses)
    assert max(pauses) == LONGEST_PAUSE_S


def test_a_worker_that_keeps_ending_is_tried_ever_later_and_shows() -> None:
    clock = ManualClock()
    slot = Slot(number=2)
    pauses = []
    for _ in range(5):
        slot.worker = RemoteWorker(2, clock, Nobody())
        pauses.append(slot.ended(clock.monotonic_us(), in_order=False))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert slot.trouble(clock.monotonic_us()) == (
        "worker 2 has ended 5 times in a row and is tried again in 2 s"
    )


def test_a_worker_that_served_for_long_is_replaced_at_once() -> None:
    clock = ManualClock()
    slot = filled(clock)
    slot.failures = 7
    clock.advance(int(STEADY_S * SECOND_US))
    assert slot.ended(clock.monotonic_us(), in_order=False) == 0.1
    assert slot.failures == 1


def test_a_worker_that_ended_in_order_has_not_failed() -> None:
    clock = ManualClock()
    slot = filled(clock)
    slot.failures = 7
    assert slot.ended(clock.monotonic_us(), in_order=True) == 0.0
    assert slot.failures == 0
    assert slot.trouble(clock.monotonic_us()) == "worker 2 is being started"


@pytest.mark.parametrize(
    ("silent_us", "shown"), [(SILENT_US, ""), (SILENT_US + 1, "not been heard of for 2 s")]
)
def test_a_silent_worker_shows(silent_us: int, shown: str) -> None:
    clock = ManualClock()
    slot = filled(clock)
    clock.advance(silent_us)
    assert shown in slot.trouble(clock.monotonic_us())
    assert bool(shown) == bool(slot.trouble(clock.monotonic_us()))


def test_a_worker_that_is_silent_for_very_long_is_given_up() -> None:
    clock = ManualClock()
    slot = filled(clock)
    clock.advance(GIVEN_UP_US)
    assert not slot.is_given_up(clock.monotonic_us())
    clock.advance(1)
    assert slot.is_given_up(clock.monotonic_us())
    assert not Slot(number=1).is_given_up(clock.monotonic_us())


def test_what_a_worker_says_of_itself_shows() -> None:
    clock = ManualClock()
    slot = filled(clock)
    assert slot.worker is not None
    slot.worker.told(pulse("the ledger cannot be written"))
    assert slot.trouble(clock.monotonic_us()) == "worker 2: the ledger cannot be written"
    status = slot.status(clock.monotonic_us())
    assert (status.epoch, status.open_invocations, status.connections) == (3, 4, 5)
    assert (status.memory_bytes, status.cpu_us) == (6, 7)
    slot.worker.told(pulse())
    assert slot.trouble(clock.monotonic_us()) == ""
