import asyncio
from collections.abc import Callable

import pytest
from tests.gateways.world import World, code_of

from ringfence.domain.error import UnavailableError
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement import action_path as path
from ringfence.enforcement.lack import (
    SUPPLY_ROUNDS,
    Lack,
    Lacking,
    Supplied,
    Supplies,
    not_supplied,
)

LACKING = Lacking(lack=Lack.INVOCATION, organisation="org_acme", names=("run-1",))


class ScriptedSupplier:
    """Answers as a test says; `asked` is what it was asked for."""

    def __init__(self, answer: Callable[[], Reason | Supplied] = lambda: Supplied.MORE) -> None:
        self.asked: list[Lacking] = []
        self._answer = answer

    async def supply(self, lacking: Lacking) -> Reason | Supplied:
        self.asked.append(lacking)
        await asyncio.sleep(0)
        return self._answer()


def lacking_world(
    monkeypatch: pytest.MonkeyPatch, supplier: ScriptedSupplier | None, *, times: int
) -> World:
    """A worker whose first joins lack the invocation."""
    world = World(supplier=supplier)
    invocations = world.worker.invocations
    join = invocations.join
    left = times

    def lack(*facts: object) -> object:
        nonlocal left
        left -= 1
        return LACKING if left >= 0 else join(*facts)  # type: ignore[arg-type] # passed through

    monkeypatch.setattr(invocations, "join", lack)
    return world


@pytest.mark.parametrize("times", [1, SUPPLY_ROUNDS])
def test_what_is_supplied_lets_the_call_through(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        supplier = ScriptedSupplier()
        world = lacking_world(monkeypatch, supplier, times=times)
        assert (await world.ask()).status == 200
        assert supplier.asked == [LACKING] * times
        world.check_books()

    asyncio.run(story())


def test_a_call_that_lacks_more_at_every_round_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        supplier = ScriptedSupplier()
        world = lacking_world(monkeypatch, supplier, times=1_000)
        response = await world.ask()
        assert (response.status, code_of(response)) == (503, "store_unavailable")
        assert len(supplier.asked) == SUPPLY_ROUNDS
        assert world.providers.sent == []
        [refusal] = world.ledger.refusals
        assert refusal.decision.facts == {"lacking": "invocation", "cause": "asked_too_often"}

    asyncio.run(story())


def test_a_supplier_that_says_no_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        why = Reason(code=Code.INVOCATION_CLOSED, message="Ended elsewhere.")
        world = lacking_world(monkeypatch, ScriptedSupplier(lambda: why), times=1)
        response = await world.ask()
        assert (response.status, code_of(response)) == (402, "invocation_closed")
        assert world.ledger.intents == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnavailableError("store_unavailable", "the supervisor is away"), 503, "store_unavailable"),
        (ZeroDivisionError("planted"), 500, "internal"),
    ],
)
def test_a_supplier_that_fails_denies(
    error: Exception, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Reason | Supplied:
        raise error

    async def story() -> None:
        world = lacking_world(monkeypatch, ScriptedSupplier(fail), times=1)
        response = await world.ask()
        assert (response.status, code_of(response)) == (status, code)
        assert len(world.ledger.refusals) == 1

    asyncio.run(story())


def test_a_supplier_that_does_not_answer_in_time_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(ScriptedSupplier):
        async def supply(self, lacking: Lacking) -> Reason | Supplied:
            self.asked.append(lacking)
            await asyncio.Event().wait()
            return Supplied.MORE

    async def story() -> None:
        monkeypatch.setattr(path, "SUPPLY_S", 0.01)
        world = lacking_world(monkeypatch, Silent(), times=1)
        assert (await world.ask()).status == 503
        assert world.ledger.refusals[0].decision.facts["cause"] == "no_answer"

    asyncio.run(story())


def test_without_anybody_to_ask_a_lack_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        world = lacking_world(monkeypatch, None, times=1)
        assert (await world.ask()).status == 503
        assert world.ledger.refusals[0].decision.facts["cause"] == "nobody_to_ask"

    asyncio.run(story())


def test_each_kind_is_asked_of_its_own_supplier() -> None:
    async def story() -> None:
        invocations, others = ScriptedSupplier(), ScriptedSupplier()
        supplies = Supplies({Lack.INVOCATION: invocations}, others)
        for lack in (Lack.INVOCATION, Lack.LEASE, Lack.PLACE):
            lacking = Lacking(lack=lack, organisation="org_1")
            assert await supplies.supply(lacking) is Supplied.MORE
        assert [each.lack for each in invocations.asked] == [Lack.INVOCATION]
        assert [each.lack for each in others.asked] == [Lack.LEASE, Lack.PLACE]

    asyncio.run(story())


def test_a_kind_that_nobody_has_is_denied() -> None:
    lacking = Lacking(lack=Lack.PLACE, organisation="org_1")
    found = asyncio.run(Supplies({}).supply(lacking))
    assert found == not_supplied(lacking, "nobody_to_ask")
