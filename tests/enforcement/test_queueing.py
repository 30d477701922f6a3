"""Workers that share the lanes of paced upstreams: one may use all, and agents take turns."""

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.enforcement.test_pacing import Gate, paced
from tests.gateways.world import (
    SECOND_US,
    Sent,
    Upstream,
    World,
    agent,
    chat,
    code_of,
    model,
    provider,
    turns,
    whole,
)

from ringfence.domain.agent import Limits
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Holder
from ringfence.domain.model import Pace, ProviderProtocol
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.pacing import Busy, Enter, Entered, Left, Paused
from ringfence.enforcement.queueing import Queueing
from ringfence.testing.clock import ManualClock
from ringfence.testing.http import MemoryResponse


class Wire:
    """One worker's way to the lanes. `is_frozen` loses what is asked."""

    def __init__(self, hall: "Hall", holder: Holder) -> None:
        self.hall = hall
        self.holder = holder
        self.entering: dict[int, asyncio.Future[Busy | None]] = {}
        self.is_frozen = False
        self.is_cut = False

    async def enter(self, enter: Enter) -> Busy | None:
        if self.is_cut:
            raise UnavailableError("link_closed", "the supervisor has gone")
        entering: asyncio.Future[Busy | None] = asyncio.get_running_loop().create_future()
        self.entering[enter.number] = entering
        await asyncio.sleep(0)
        if not self.is_frozen:
            self.hall.queueing.enter(self.holder, packed(enter, Enter))
        return await entering

    def left(self, left: Left) -> None:
        self.hall.queueing.left(self.holder, packed(left, Left))


def packed(message: Any, kind: Any) -> Any:  # noqa: ANN401 (a message, as it arrives)
    return msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=kind)


class Hall:
    """Several workers and the lanes that they share. Made inside a running loop."""

    def __init__(self, config: Organisation, count: int = 2) -> None:
        self.clock = ManualClock()
        self.queueing = Queueing(self.clock, self._tell)
        self.queueing.install(
            Configuration(organisations={config.name: config}, digest="sha256:1", epoch=1)
        )
        self.wires = [Wire(self, Holder(f"{number}.1")) for number in range(count)]
        self.gate = Gate()
        self.worlds = [World(config, clock=self.clock, pace_wire=wire) for wire in self.wires]
        for world in self.worlds:
            world.providers.answering = self.gate.answer
            world.worker.watch.tell = self._noticed

    def _tell(self, holder: Holder, entered: Entered) -> None:
        [wire] = [each for each in self.wires if each.holder == holder]
        waiting = wire.entering.pop(entered.number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(entered.busy)

    def _noticed(self, noticed: object) -> None:
        if isinstance(noticed, Paused):
            self.queueing.paused(noticed)
            for world in self.worlds:
                world.worker.watch.pacing.paused(noticed)

    @property
    def sent(self) -> int:
        return sum(len(world.providers.sent) for world in self.worlds)

    def ask(
        self, worker: int, count: int, name: str = "triage"
    ) -> list[asyncio.Task[MemoryResponse]]:
        world, token = self.worlds[worker], f"rf_agt_{name}"
        bodies = [chat(f"{worker} {name} {number}") for number in range(count)]
        return [asyncio.create_task(world.ask(body=each, token=token)) for each in bodies]

    def standing(self) -> tuple[int, int]:
        [one] = self.queueing.standing("org_acme")
        return one.going, one.waiting


def test_one_busy_worker_may_use_all_of_a_pace() -> None:
    async def story() -> None:
        hall = Hall(paced(Pace(concurrent=4)))
        tasks = hall.ask(0, 6)
        await turns()
        assert hall.sent == 4
        assert hall.standing() == (4, 2)
        await hall.gate.let(6)
        assert {(await each).status for each in tasks} == {200}
        assert hall.standing() == (0, 0)

    asyncio.run(story())


def test_one_busy_worker_may_use_all_of_a_rate() -> None:
    async def story() -> None:
        hall = Hall(paced(Pace(requests_per_minute=4, queue_seconds=0.01)))
        tasks = hall.ask(0, 3)
        await turns()
        tasks += hall.ask(1, 3)
        await turns()
        await hall.gate.let(4)
        assert sorted([(await each).status for each in tasks]) == [200] * 4 + [429] * 2

    asyncio.run(story())


def test_all_workers_together_keep_to_a_pace_and_agents_take_turns() -> None:
    async def story() -> None:
        hall = Hall(paced(Pace(concurrent=1)))
        flood = [*hall.ask(0, 5), *hall.ask(1, 5)]
        await turns()
        quiet = hall.ask(1, 1, "other")
        await turns()
        assert hall.sent == 1
        await hall.gate.let()
        assert hall.worlds[1].ledger.intents[-1].agent_name == "other"
        await hall.gate.let(10)
        assert {(await each).status for each in (*flood, *quiet)} == {200}
        assert hall.gate.most == 1
        for world in hall.worlds:
            world.check_books()

    asyncio.run(story())


def test_a_worker_that_dies_gives_its_places_back() -> None:
    async def story() -> None:
        hall = Hall(paced(Pace(concurrent=2)))
        lost = hall.ask(0, 4)
        await turns()
        waiting = hall.ask(1, 1)
        await turns()
        assert hall.sent == 2
        hall.queueing.died(hall.wires[0].holder)
        await turns()
        assert hall.standing() == (1, 0)
        assert len(hall.worlds[1].providers.sent) == 1
        await hall.gate.let(3)
        assert (await waiting[0]).status == 200
        for each in lost:
            each.cancel()

    asyncio.run(story())


def test_who_gives_up_waiting_leaves_no_place_behind_at_whatever_moment() -> None:
    async def story() -> None:
        for patience in range(12):
            hall = Hall(paced(Pace(concurrent=1)))
            [first] = hall.ask(0, 1)
            await turns()
            [second] = hall.ask(1, 1)
            for _ in range(patience):
                await asyncio.sleep(0)
            if patience % 2:
                hall.gate.waiting.pop(0).set_result(None)
            second.cancel()
            await turns()
            if not patience % 2:
                await hall.gate.let()
            assert (await first).status == 200
            await turns()
            assert hall.standing() == (0, 0), patience

    asyncio.run(story())


def test_a_supervisor_that_has_gone_or_is_frozen_lets_nobody_pass() -> None:
    async def story() -> None:
        hall = Hall(paced(Pace(concurrent=2, queue_seconds=0.01)))
        hall.wires[0].is_cut = True
        [refused] = hall.ask(0, 1)
        assert ((await refused).status, code_of(await refused)) == (503, "store_unavailable")
        assert hall.sent == 0

    asyncio.run(story())


def test_what_nobody_answers_is_waited_for_so_long_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ringfence.enforcement.pacing._ANSWER_S", 0.01)

    async def story() -> None:
        hall = Hall(paced(Pace(concurrent=2, queue_seconds=0.01)))
        hall.wires[0].is_frozen = True
        [refused] = hall.ask(0, 1)
        assert (await refused).status == 503
        assert hall.sent == 0

    asyncio.run(story())


def test_an_upstream_that_asks_one_worker_for_a_pause_has_it_from_all() -> None:
    async def story() -> None:
        hall = Hall(paced(Pace(concurrent=8)))

        async def limited(_sent: Sent) -> Upstream:
            return whole({"error": {}}, 429, [(b"retry-after-ms", b"300000")])

        hall.worlds[0].providers.answering = limited
        assert (await hall.ask(0, 1)[0]).status == 429
        refused = await hall.ask(1, 1)[0]
        assert (refused.status, code_of(refused)) == (429, "rate_exceeded")
        hall.clock.advance(301 * SECOND_US)
        [task] = hall.ask(1, 1)
        await turns()
        await hall.gate.let()
        assert (await task).status == 200

    asyncio.run(story())


def test_a_fallback_that_another_worker_keeps_busy_is_passed_by() -> None:
    async def story() -> None:
        plain = paced(Pace())
        spare = provider("spare", ProviderProtocol.OPENAI, pace=Pace(concurrent=1))
        models = {
            "small": model("small", fallback=("other",)),
            "other": model("other", "spare"),
        }
        scope = replace(agent().scope, models=frozenset(models))
        hall = Hall(
            replace(
                plain,
                providers={**plain.providers, "spare": spare},
                models=models,
                agents={"triage": agent(scope=scope, limits=Limits(default_output_tokens=100))},
            )
        )

        async def answer(sent: Sent) -> Upstream:
            if sent.origin.host == "house.example":
                return whole({"error": {"message": "down"}}, 503)
            return await hall.gate.answer(sent)

        for world in hall.worlds:
            world.providers.answering = answer
        first = hall.ask(0, 1)
        await turns()
        second = await hall.ask(1, 1)[0]
        assert (second.status, code_of(second)) == (429, "rate_exceeded")
        await hall.gate.let()
        assert (await first[0]).status == 200
        third = hall.ask(1, 1)
        await turns()
        await hall.gate.let()
        assert (await third[0]).status == 200
        assert {each.going for each in hall.queueing.standing("org_acme")} == {0}
        for world in hall.worlds:
            world.check_books()

    asyncio.run(story())


def test_what_is_paced_for_one_organisation_stands_in_no_other() -> None:
    async def story() -> None:
        hall = Hall(paced(Pace(concurrent=1)))
        assert hall.queueing.standing("org_other") == []

    asyncio.run(story())
