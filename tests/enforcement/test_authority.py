import asyncio
from collections.abc import Coroutine
from typing import Any

from ringfence.enforcement.authority import LEASE_US, Authority
from ringfence.testing.clock import ManualClock
from ringfence.transport.clock import SystemClock


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_who_shares_with_nobody_may_always_act() -> None:
    clock = ManualClock()
    authority = Authority(clock)
    clock.advance(10**15)
    assert authority.is_fresh


def test_shared_authority_begins_with_its_first_renewal() -> None:
    clock = ManualClock()
    authority = Authority(clock, is_shared=True)
    assert not authority.is_fresh
    authority.renew(clock.monotonic_us() + LEASE_US, 0)
    assert authority.is_fresh


def test_it_ends_by_itself_to_the_microsecond() -> None:
    clock = ManualClock()
    authority = Authority(clock, is_shared=True)
    authority.renew(clock.monotonic_us() + 3, 0)
    clock.advance(2)
    assert authority.is_fresh
    clock.advance(1)
    assert not authority.is_fresh


def test_a_renewal_of_another_epoch_counts_for_nothing() -> None:
    clock = ManualClock()
    authority = Authority(clock, is_shared=True)
    authority.advance(2)
    for epoch in (1, 3):
        authority.renew(clock.monotonic_us() + LEASE_US, epoch)
    assert not authority.is_fresh
    authority.renew(clock.monotonic_us() + LEASE_US, 2)
    assert authority.is_fresh


def test_a_renewal_that_comes_late_takes_nothing_back() -> None:
    clock = ManualClock()
    authority = Authority(clock, is_shared=True)
    authority.renew(clock.monotonic_us() + LEASE_US, 0)
    authority.renew(clock.monotonic_us() + 5, 0)
    clock.advance(6)
    assert authority.is_fresh


def test_a_renewal_that_was_long_on_its_way_renews_nothing() -> None:
    clock = ManualClock()
    authority = Authority(clock, is_shared=True)
    sent_us = clock.monotonic_us()
    clock.advance(LEASE_US)
    authority.renew(sent_us + LEASE_US, 0)
    assert not authority.is_fresh


def test_what_waits_goes_on_with_the_renewal() -> None:
    async def story() -> None:
        authority = Authority(SystemClock(), is_shared=True)
        waiting = [asyncio.create_task(authority.renewed()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        authority.renew(SystemClock().monotonic_us() + LEASE_US, 0)
        assert await asyncio.gather(*waiting) == [True] * 3
        assert await authority.renewed()

    run(story())


def test_the_wait_is_bounded() -> None:
    async def story() -> None:
        authority = Authority(SystemClock(), is_shared=True)
        assert not await authority.renewed(0.01)
        authority.renew(SystemClock().monotonic_us() - 1, 0)
        assert not await authority.renewed(0.01)

    run(story())


def test_a_renewal_that_is_over_when_it_is_heard_lets_nothing_go_on() -> None:
    async def story() -> None:
        clock = ManualClock()
        authority = Authority(clock, is_shared=True)
        waiting = asyncio.create_task(authority.renewed(5))
        await asyncio.sleep(0)
        authority.renew(clock.monotonic_us() + 1, 0)
        clock.advance(1)
        assert not await waiting

    run(story())


def test_without_a_supervisor_it_is_over_at_once_and_for_good() -> None:
    async def story() -> None:
        clock = SystemClock()
        authority = Authority(clock, is_shared=True)
        fresh = [authority.is_fresh]
        authority.renew(clock.monotonic_us() + LEASE_US, 0)
        fresh.append(authority.is_fresh)
        authority.revoke()
        fresh.append(authority.is_fresh)
        authority.renew(clock.monotonic_us() + 2 * LEASE_US, 0)
        fresh.append(authority.is_fresh)
        assert fresh == [False, True, False, False]
        async with asyncio.timeout(60):
            assert not await authority.renewed(60)

    run(story())


def test_somebody_who_stopped_waiting_harms_nobody() -> None:
    async def story() -> None:
        authority = Authority(SystemClock(), is_shared=True)
        one = asyncio.create_task(authority.renewed())
        other = asyncio.create_task(authority.renewed())
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.sleep(0)
        authority.renew(SystemClock().monotonic_us() + LEASE_US, 0)
        assert await other

    run(story())
