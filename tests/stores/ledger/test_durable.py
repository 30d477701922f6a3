"""Whoever waits for an event may be told in the turn in which it is durable."""

import asyncio
from collections.abc import Callable

import pytest

from ringfence.domain.error import UnavailableError
from ringfence.stores.ledger.durable import Durable, when_ended


def test_it_is_told_in_the_same_turn_and_before_any_callback() -> None:
    async def run() -> None:
        said: list[str] = []
        durable = Durable()
        durable.add_done_callback(lambda _: said.append("callback"))
        when_ended(durable, lambda: said.append("told"))
        durable.set_result(None)
        assert said == ["told"]
        await asyncio.sleep(0)
        assert said == ["told", "callback"]
        when_ended(durable, lambda: said.append("at once"))
        assert said[-1] == "at once"

    asyncio.run(run())


def test_what_fails_is_told_as_well() -> None:
    async def run() -> None:
        durable, said = Durable(), list[BaseException | None]()
        when_ended(durable, lambda: said.append(durable.exception()))
        error = UnavailableError("store_unavailable", "the disk is full")
        durable.set_exception(error)
        assert said == [error]

    asyncio.run(run())


def test_who_fails_at_it_holds_up_nobody() -> None:
    async def run() -> None:
        reports: list[dict[str, object]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, report: reports.append(report))
        durable = Durable()
        when_ended(durable, _fail)
        durable.set_result(None)
        assert durable.done()
        assert isinstance(reports[0]["exception"], ZeroDivisionError)

    asyncio.run(run())


def _fail() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("make", [Durable, asyncio.Future[None]])
@pytest.mark.parametrize("end", [lambda f: f.set_result(None), lambda f: f.cancel()])
def test_any_future_will_do_however_it_ends(
    make: Callable[[], asyncio.Future[None]], end: Callable[[asyncio.Future[None]], object]
) -> None:
    async def run() -> None:
        said: list[bool] = []
        future = make()
        when_ended(future, lambda: said.append(future.done()))
        end(future)
        await asyncio.sleep(0)
        assert said == [True]

    asyncio.run(run())
