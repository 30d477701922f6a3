"""Calls that callbacks carry: they act only with authority, and end once."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from ringfence.domain.agent import AgentState
from ringfence.domain.verdict import Reason
from ringfence.enforcement.authority import LAPSED, SHUTTING_DOWN, Authority
from ringfence.enforcement.ticket import ActionTicket
from ringfence.gateways.carried import CarriedCall
from ringfence.testing.clock import ManualClock


class Errand(CarriedCall):
    """Does nothing but say what happens to it."""

    def __init__(self, authority: Authority, state: AgentState = AgentState.ACTIVE) -> None:
        runtime = SimpleNamespace(state=state, is_barred=False, principal=None, agent=AGENT)
        self.said: list[Any] = []
        ticket = SimpleNamespace(
            durable=asyncio.get_running_loop().create_future(),
            caller=SimpleNamespace(runtime=runtime),
            on_check=None,
        )
        super().__init__(authority, cast("ActionTicket", ticket))

    def take(self, step: Callable[..., None], *facts: object) -> None:
        try:
            step(*facts)
        except ValueError as error:
            self.said.append(error)

    def check(self, now_us: int) -> None:
        self.said.append(now_us)

    def stop(self, why: Reason) -> None:
        self.said.append(("stopped", why))

    def withhold(self, why: Reason) -> None:
        self.said.append(("withheld", why.code.value))

    def forsake(self) -> None:
        self.said.append("forsaken")

    def dispatch(self) -> None:
        self.said.append("dispatched")

    def breaks(self) -> None:
        raise ValueError("a step")


AGENT = SimpleNamespace(name="triage", escalate_to="", owner="owner@acme.example")


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_it_goes_on_when_its_intent_is_durable() -> None:
    async def story() -> None:
        errand = Errand(Authority(ManualClock()))
        assert errand.said == []
        errand.ticket.durable.set_result(None)
        await settle()
        assert errand.said == ["dispatched"]

    asyncio.run(story())


def test_one_that_is_cancelled_waits_for_its_intent_and_is_forsaken() -> None:
    async def story() -> None:
        errand = Errand(Authority(ManualClock()))
        errand.cancel()
        errand.cancel()
        assert errand.said == []
        errand.ticket.durable.set_result(None)
        await settle()
        assert errand.said == ["forsaken"]
        late = Errand(Authority(ManualClock()))
        late.ticket.durable.set_result(None)
        late.cancel()
        assert late.said == [("stopped", SHUTTING_DOWN)]

    asyncio.run(story())


def test_its_end_is_told_once() -> None:
    async def story() -> None:
        errand = Errand(Authority(ManualClock()))
        told: list[object] = []
        errand.when_over(told.append)
        errand.told()
        errand.told()
        assert told == [errand]

    asyncio.run(story())


def test_it_acts_with_authority_and_for_an_agent_that_is_active_alone() -> None:
    async def story() -> None:
        clock = ManualClock()
        active = Errand(Authority(clock))
        active.act(active.said.append, "acted")
        assert active.said == ["acted"]
        suspended = Errand(Authority(clock), AgentState.SUSPENDED)
        suspended.act(suspended.said.append, "acted")
        assert suspended.said == [("withheld", "agent_suspended")]

    asyncio.run(story())


def test_without_authority_it_waits_for_a_renewal() -> None:
    async def story() -> None:
        clock = ManualClock()
        authority = Authority(clock, is_shared=True)
        errand, over = Errand(authority), Errand(authority)
        for each in (errand, over):
            each.act(each.said.append, "acted")
        over.is_over = True
        assert errand.said == []
        authority.renew(clock.monotonic_us() + 1_000_000, 0)
        assert (errand.said, over.said) == (["acted"], [])
        clock.advance(2_000_000)
        errand.act(errand.said.append, "again")
        authority.revoke()
        assert errand.said == ["acted", ("withheld", LAPSED.code.value)]

    asyncio.run(story())


def test_what_a_late_step_raises_is_taken_like_any_other() -> None:
    async def story() -> None:
        clock = ManualClock()
        authority = Authority(clock, is_shared=True)
        errand = Errand(authority)
        errand.act(errand.breaks)
        authority.renew(clock.monotonic_us() + 1_000_000, 0)
        assert [str(each) for each in errand.said] == ["a step"]
        errand.go_on(errand.breaks)
        assert len(errand.said) == 2

    asyncio.run(story())
