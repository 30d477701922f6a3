"""Lanes with calls that wait in them: who gives up, who is late, and what is forgotten."""

import asyncio

import pytest

from ringfence.domain.model import Pace, UpstreamKey, UpstreamKind
from ringfence.domain.pacing import Busy
from ringfence.enforcement.lane import Lanes
from ringfence.testing.clock import ManualClock

MODEL = UpstreamKey("org_acme", UpstreamKind.MODEL, "small")
HOUSE = UpstreamKey("org_acme", UpstreamKind.PROVIDER, "house")


def lanes(**paces: Pace) -> tuple[Lanes, ManualClock]:
    clock = ManualClock()
    made = Lanes(clock)
    keys = {"model": MODEL, "house": HOUSE}
    made.install({keys[name]: pace for name, pace in paces.items()})
    return made, clock


def test_places_are_taken_at_all_upstreams_or_at_none() -> None:
    async def story() -> None:
        made, _ = lanes(model=Pace(concurrent=5), house=Pace(concurrent=1))
        held = made.enter("a", (MODEL, HOUSE))
        assert not isinstance(held, Busy)
        busy = made.enter("b", (MODEL, HOUSE))
        assert isinstance(busy, Busy)
        assert busy.upstream == HOUSE
        assert made.known[MODEL].going == 1
        made.leave(held)
        assert not isinstance(made.enter("b", (MODEL, HOUSE)), Busy)

    asyncio.run(story())


def test_a_wait_is_for_all_upstreams_together() -> None:
    async def story() -> None:
        made, _ = lanes(model=Pace(concurrent=1, queue_seconds=0.01), house=Pace(concurrent=1))
        made.install({MODEL: Pace(concurrent=1, queue_seconds=0.02)})
        held = made.enter("a", (MODEL,))
        assert not isinstance(held, Busy)
        late = await made.wait("b", (MODEL,))
        assert isinstance(late, Busy)
        assert made.known[MODEL].waiting == 0

    asyncio.run(story())


def test_who_is_cancelled_gives_back_what_it_has_and_waits_no_longer() -> None:
    async def story() -> None:
        made, _ = lanes(model=Pace(concurrent=2), house=Pace(concurrent=1))
        assert not isinstance(made.enter("a", (HOUSE,)), Busy)
        waiting = asyncio.create_task(made.wait("b", (MODEL, HOUSE)))
        await asyncio.sleep(0)
        assert (made.known[MODEL].going, made.known[HOUSE].waiting) == (1, 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (made.known[MODEL].going, made.known[HOUSE].waiting) == (0, 0)

    asyncio.run(story())


def test_a_pause_of_what_is_not_paced_is_forgotten_when_it_is_over() -> None:
    async def story() -> None:
        made, clock = lanes()
        made.pause(MODEL, clock.monotonic_us() + 20_000)
        assert isinstance(made.enter("a", (MODEL,)), Busy)
        clock.advance(20_000)
        await asyncio.sleep(0.05)
        assert made.known == {}

    asyncio.run(story())
