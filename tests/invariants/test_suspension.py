"""Design note 012: nobody is admitted and no byte is written without authority that is fresh."""

import asyncio
from collections.abc import Callable

import pytest
from tests.gateways.world import (
    Upstream,
    World,
    always,
    chat,
    chat_answer,
    chat_stream,
    chunk,
    code_of,
    message,
    turns,
    whole,
)

from ringfence.domain.agent import AgentState
from ringfence.domain.event import Status
from ringfence.enforcement.authority import LEASE_US
from ringfence.testing.http import MemoryResponse

REQUESTS = [
    ("POST", "/v1/chat/completions", chat()),
    ("POST", "/v1/chat/completions", chat(stream=True)),
    ("POST", "/v1/messages", message()),
    ("GET", "/v1/models", b""),
    ("POST", "/ringfence/v1/invocations", {}),
]


def lapse(world: World) -> None:
    """What a process finds that was frozen: time has passed, and it has heard nothing."""
    world.clock.advance(LEASE_US)


@pytest.mark.parametrize(("method", "target", "body"), REQUESTS)
def test_without_authority_nobody_is_admitted(method: str, target: str, body: object) -> None:
    async def story() -> None:
        world = World(is_shared=True)
        world.authority.revoke()
        response = await world.ask(target, body, method=method)
        assert (response.status, code_of(response)) == (503, "store_unavailable")
        assert world.providers.sent == []
        assert world.ledger.intents == []
        assert len(world.ledger.refusals) == 1

    asyncio.run(story())


@pytest.mark.parametrize(("method", "target", "body"), REQUESTS)
def test_who_asks_before_the_renewal_waits_for_it(method: str, target: str, body: object) -> None:
    async def story() -> None:
        world = World(is_shared=True)
        asking = asyncio.create_task(world.ask(target, body, method=method))
        await turns()
        assert not asking.done()
        assert world.ledger.intents == []
        world.renew()
        assert (await asking).status in {200, 201}

    asyncio.run(story())


def test_a_change_that_came_with_the_renewal_holds_for_who_waited() -> None:
    async def story() -> None:
        world = World(is_shared=True)
        asking = asyncio.create_task(world.ask())
        await turns()
        await world.suspend()
        world.renew()
        response = await asking
        assert (response.status, code_of(response)) == (403, "agent_suspended")
        assert world.providers.sent == []

    asyncio.run(story())


def test_nothing_is_dispatched_if_authority_ends_while_the_intent_is_written() -> None:
    async def story() -> None:
        world = World(is_shared=True)
        world.renew()
        world.ledger.is_holding = True
        asking = asyncio.create_task(world.ask())
        await turns()
        lapse(world)
        world.ledger.commit()
        await turns()
        assert world.providers.sent == []
        await world.suspend()
        world.renew()
        response = await asking
        assert code_of(response) == "agent_suspended"
        assert world.providers.sent == []
        assert world.ledger.outcomes[0].cost_nano == "0"
        world.check_books()

    asyncio.run(story())


def _whole() -> Upstream:
    return whole(chat_answer())


def _long() -> Upstream:
    return whole(chat_answer(filler="x" * 300_000))


def _error() -> Upstream:
    return whole({"error": {"message": "the provider's own words"}}, 400)


def _stream() -> Upstream:
    return Upstream(pieces=chat_stream())


@pytest.mark.parametrize("make", [_whole, _long, _error, _stream])
def test_no_answer_is_begun_for_an_agent_that_was_suspended_meanwhile(
    make: Callable[[], Upstream],
) -> None:
    """The process is frozen while the provider answers, and hears of the suspension after that."""

    async def story() -> None:
        world = World(is_shared=True)
        world.renew()
        answered = asyncio.Event()

        async def answer(_: object) -> Upstream:
            await answered.wait()
            return make()

        world.providers.answering = answer
        response = MemoryResponse()
        body = chat(stream=make is _stream)
        asking = asyncio.create_task(world.handle("/v1/chat/completions", body, response))
        await turns()
        lapse(world)
        answered.set()
        await turns()
        assert response.writes == []
        await world.suspend()
        world.renew()
        await asking
        assert code_of(response) == "agent_suspended"
        assert len(world.ledger.outcomes) == 1
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("make", [_whole, _long, _error, _stream])
def test_an_answer_that_waited_is_whole(make: Callable[[], Upstream]) -> None:
    async def story() -> None:
        world = World(is_shared=True)
        world.renew()

        async def answer(_: object) -> Upstream:
            lapse(world)
            return make()

        world.providers.answering = answer
        response = MemoryResponse()
        body = chat(stream=make is _stream)
        asking = asyncio.create_task(world.handle("/v1/chat/completions", body, response))
        await turns()
        assert response.writes == []
        world.renew()
        await asking
        assert response.is_ended
        expected = b"".join(make().pieces)
        assert response.body.endswith(expected[-14:])
        assert response.body.count(b"word") == expected.count(b"word")
        world.check_books()

    asyncio.run(story())


async def _streaming(world: World) -> tuple[Upstream, MemoryResponse, asyncio.Task[None]]:
    """A stream of which one piece has passed."""
    world.renew()
    upstream = Upstream(pieces=[chunk("first ")], ending="hang")
    world.providers.answering = always(lambda: upstream)
    response = MemoryResponse()
    asking = asyncio.create_task(world.handle("/v1/chat/completions", chat(stream=True), response))
    await turns()
    assert b"first" in response.body
    return upstream, response, asking


def test_a_stream_writes_no_byte_after_its_agent_was_suspended() -> None:
    async def story() -> None:
        world = World(is_shared=True)
        upstream, response, asking = await _streaming(world)
        before = response.body
        lapse(world)
        upstream.feed(chunk("second "))
        await turns()
        assert response.body == before
        assert upstream.is_paused
        await world.suspend()
        await asking
        assert response.body == before
        assert response.is_aborted
        assert world.ledger.outcomes[0].status is Status.CUT
        world.check_books()

    asyncio.run(story())


def test_a_suspension_that_is_heard_before_anything_came_writes_nothing_either() -> None:
    async def story() -> None:
        world = World(is_shared=True)
        _, response, asking = await _streaming(world)
        before = response.body
        lapse(world)
        await world.suspend(state=AgentState.RETIRED)
        await asking
        assert (response.body, response.is_aborted) == (before, True)

    asyncio.run(story())


def test_a_stream_goes_on_with_the_renewal_where_it_stood() -> None:
    async def story() -> None:
        world = World(is_shared=True)
        upstream, response, asking = await _streaming(world)
        lapse(world)
        for piece in chat_stream(2):
            upstream.feed(piece)
        upstream.end()
        await turns()
        assert b"word" not in response.body
        world.renew()
        await asking
        assert response.is_ended
        assert not response.is_aborted
        assert response.body.count(b"word") == 2
        assert response.body.rstrip().endswith(b"[DONE]")
        assert world.ledger.outcomes[0].status is Status.OK
        world.check_books()

    asyncio.run(story())


def test_a_stream_that_gets_no_renewal_is_cut_and_says_so_in_the_record() -> None:
    async def story() -> None:
        world = World(is_shared=True)
        upstream, response, asking = await _streaming(world)
        before = response.body
        world.authority.revoke()
        upstream.feed(chunk("second "))
        await asking
        assert (response.body, response.is_aborted) == (before, True)
        outcome = world.ledger.outcomes[0]
        assert (outcome.status, outcome.error) == (Status.CUT, "store_unavailable")
        world.check_books()

    asyncio.run(story())


def test_a_long_answer_is_cut_where_its_agent_was_suspended() -> None:
    class Slow(MemoryResponse):
        def on_pause(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
            pause()
            self.taken = resume

    async def story() -> None:
        world = World(is_shared=True)
        world.renew()
        world.providers.answering = always(_long)
        response = Slow()
        asking = asyncio.create_task(world.handle("/v1/chat/completions", chat(), response))
        await turns()
        passed = len(response.body)
        assert 0 < passed <= 64 * 1024
        await world.suspend()
        response.taken()
        await asking
        assert (len(response.body), response.is_aborted) == (passed, True)

    asyncio.run(story())


def test_an_invocation_token_is_not_given_to_an_agent_that_was_suspended_meanwhile() -> None:
    async def story() -> None:
        world = World(is_shared=True)
        world.renew()
        flush = world.ledger.flush

        async def slow() -> None:
            await flush()
            lapse(world)

        world.ledger.flush = slow  # type: ignore[method-assign] # the disk is slow today
        asking = asyncio.create_task(world.ask("/ringfence/v1/invocations", {}))
        await turns()
        await world.suspend()
        world.renew()
        response = await asking
        assert code_of(response) == "agent_suspended"
        assert b"rf_inv_" not in response.body

    asyncio.run(story())
