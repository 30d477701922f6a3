import asyncio
import time
from collections.abc import Awaitable

import pytest
from tests.planes import Commons, MemoryLimits, MemoryMembership, MemoryRuns, soon

from ringfence.app import sharing
from ringfence.app.sharing import Sharing
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Holder
from ringfence.stores.plane import Member, News, Shares
from ringfence.transport.clock import SystemClock


class Hears:
    """A plane whose workers obey when they are let."""

    def __init__(self) -> None:
        self.renewed = 0
        self.words: list[bytes] = []
        self.may_obey = asyncio.Event()
        self.may_obey.set()
        self.fails = False

    async def hear(self, news: News, /) -> Awaitable[None]:
        del news
        if self.fails:
            raise UnavailableError("store_unavailable", "the state store is away")
        return self._obeyed()

    async def _obeyed(self) -> None:
        await self.may_obey.wait()

    def renew(self) -> None:
        self.renewed += 1

    def called(self, words: bytes, /) -> None:
        self.words.append(words)


class One:
    """One plane."""

    def __init__(self, commons: Commons, name: str) -> None:
        self.membership = MemoryMembership(commons, name)
        self.hears = Hears()
        self.sharing = Sharing(
            Shares(
                plane=name,
                membership=self.membership,
                runs=MemoryRuns(commons, name),
                limits=MemoryLimits(commons, name),
            ),
            SystemClock(),
        )

    async def begin(self) -> None:
        await self.sharing.join([f"{self.sharing.plane}.1"], "c", lambda _: False)
        await self.sharing.begin(self.hears)


async def pair() -> tuple[Commons, One, One]:
    commons = Commons()
    one, two = One(commons, "one"), One(commons, "two")
    for each in (one, two):
        await each.begin()
    return commons, one, two


async def end(*made: One) -> None:
    for each in made:
        each.sharing.is_concluded = True
        await each.sharing.close()


def now_us() -> int:
    return SystemClock().monotonic_us()


def test_authority_is_fresh_for_a_second_from_what_was_read() -> None:
    async def story() -> None:
        _, one, two = await pair()
        await soon(lambda: one.hears.renewed > 2)
        await soon(lambda: now_us() < one.sharing.fresh_until_us <= now_us() + 1_000_000)

        # Without the database it ends, and comes back with it.
        one.membership.faults.is_away = True
        away_us = now_us()
        await soon(lambda: one.sharing.readiness() != "")
        await asyncio.sleep(0.6)
        assert one.sharing.fresh_until_us <= away_us + 1_000_000
        one.membership.faults.is_away = False
        await soon(lambda: one.sharing.readiness() == "")
        await soon(lambda: one.sharing.fresh_until_us > now_us())

        # What was read and cannot be sent to the workers gives them nothing either.
        one.hears.fails = True
        await soon(lambda: one.sharing.readiness() != "")
        renewed = one.hears.renewed
        await asyncio.sleep(0.5)
        assert one.hears.renewed == renewed
        await end(one, two)

    asyncio.run(story())


def test_a_change_has_settled_when_every_plane_obeys_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "LEASE_US", 600_000_000)  # so that it is not time that ends it

    async def story() -> None:
        commons, one, two = await pair()
        two.hears.may_obey.clear()
        commons.number += 1
        settling = asyncio.create_task(one.sharing.settle())
        await asyncio.sleep(0.3)
        assert not settling.done()
        two.hears.may_obey.set()
        await asyncio.wait_for(settling, 60)
        assert two.membership.beats[-1] >= 1
        await end(one, two)

    asyncio.run(story())


def test_a_plane_that_does_not_obey_is_waited_for_as_long_as_its_authority_may_last() -> None:
    async def story() -> None:
        commons, one, two = await pair()
        two.hears.may_obey.clear()
        commons.number += 1
        began_s = time.monotonic()
        await one.sharing.settle()
        assert time.monotonic() - began_s > 0.99
        await end(one, two)

    asyncio.run(story())


def test_without_the_database_nothing_is_said_to_have_settled() -> None:
    async def story() -> None:
        _, one, two = await pair()
        one.membership.faults.is_away = True
        with pytest.raises(UnavailableError):
            await one.sharing.settle()
        await end(one, two)

    asyncio.run(story())


def test_words_reach_every_plane() -> None:
    async def story() -> None:
        _, one, two = await pair()
        one.sharing.say(b"hello")
        for each in (one, two):
            await soon(lambda: bool(each.hears.words))  # noqa: B023 (awaited at once)
            assert each.hears.words == [b"hello"]
        await end(one, two)

    asyncio.run(story())


def test_a_plane_says_that_another_one_runs_a_newer_configuration() -> None:
    async def story() -> None:
        _, one, two = await pair()
        one.sharing.epoch = two.sharing.epoch = 1
        await soon(lambda: one.sharing.readiness() == "")
        two.sharing.epoch = 2
        await soon(lambda: "epoch 2" in one.sharing.readiness())
        assert two.sharing.readiness() == ""
        one.sharing.epoch = 2
        assert one.sharing.readiness() == ""
        await end(one, two)

    asyncio.run(story())


def test_a_plane_whose_clock_is_off_says_so() -> None:
    async def story() -> None:
        _, one, two = await pair()
        one.membership.ahead_us = 5_000_000
        await soon(lambda: "clock" in one.sharing.readiness())
        await soon(lambda: one.sharing.fresh_until_us > now_us())
        await end(one, two)

    asyncio.run(story())


def test_a_plane_that_was_taken_for_dead_has_no_authority() -> None:
    async def story() -> None:
        commons, one, two = await pair()
        del commons.members["one"]
        await soon(lambda: "dead" in one.sharing.readiness())
        renewed = one.hears.renewed
        await asyncio.sleep(0.5)
        assert one.hears.renewed == renewed
        await end(one, two)

    asyncio.run(story())


def test_one_of_the_planes_that_run_is_the_first() -> None:
    async def story() -> None:
        commons, one, two = await pair()
        await soon(lambda: len(one.sharing.members) == 2)
        assert one.sharing.is_first
        assert not two.sharing.is_first
        assert one.sharing.is_live(Holder("two.1"))
        assert not one.sharing.is_live(Holder("one.1")), "its own"
        await end(one)
        commons.members["dead"] = Member(
            plane="dead", logs=("dead.1",), epoch=9, configuration="c", silent_s=99.0, taken=0
        )
        await soon(lambda: two.sharing.is_first)
        assert two.sharing.readiness() == ""
        assert not two.sharing.is_live(Holder("dead.1"))
        await end(two)

    asyncio.run(story())


def test_a_plane_that_could_not_conclude_is_left_for_others_to_recover() -> None:
    async def story() -> None:
        commons, one, two = await pair()
        await one.sharing.close()
        assert "one" in commons.members
        await end(two)
        assert set(commons.members) == {"one"}

    asyncio.run(story())


def test_a_plane_alone_goes_on_without_the_database_for_as_long_as_nobody_else_begins() -> None:
    async def story() -> None:
        _, one, two = await pair()
        one.sharing.keeps_journal = True
        await soon(lambda: len(one.sharing.others()) == 1)
        assert one.sharing.until_us == one.sharing.fresh_until_us, "there is another"
        await end(two)
        await soon(lambda: one.sharing.others() == [])
        one.membership.faults.is_away = True
        await soon(lambda: one.sharing.fresh_until_us < now_us())
        assert one.sharing.until_us > now_us()
        # Without a journal it is for as long as no other plane begins, and no longer.
        one.sharing.keeps_journal = False
        assert one.sharing.until_us > now_us()
        one.sharing.fresh_until_us -= 15_000_000
        assert one.sharing.until_us < now_us()
        one.membership.faults.is_away = False
        await end(one)

    asyncio.run(story())


def test_a_plane_waits_to_begin_until_a_silent_one_can_do_nothing_more() -> None:
    async def story() -> None:
        commons = Commons()

        def silent(for_s: float) -> None:
            commons.members["cut"] = Member(
                plane="cut", logs=(), epoch=1, configuration="c", silent_s=for_s, taken=0
            )

        silent(4.0)
        one = One(commons, "one")
        joining = asyncio.create_task(one.sharing.join([], "c", lambda _: False))
        await asyncio.sleep(0.7)
        assert not joining.done()
        silent(17.0)
        await asyncio.wait_for(joining, 60)
        silent(4.0)
        two = One(commons, "two")
        await asyncio.wait_for(two.sharing.join([], "c", lambda plane: plane == "cut"), 60)
        await end(one, two)

    asyncio.run(story())
