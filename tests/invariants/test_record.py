"""I1, I3 and I4: nothing without its record, one outcome for each intent, faults deny."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.gateways.world import (
    Sent,
    Upstream,
    World,
    always,
    chat,
    chat_answer,
    chat_stream,
    chunk,
    code_of,
    turns,
    whole,
)

from ringfence.decisions import (
    budget,
    grouping,
    input_bound,
    limit,
    model_call,
    output_limit,
    scope,
)
from ringfence.domain.event import Outcome, Status
from ringfence.enforcement import model_call as path
from ringfence.enforcement import quote, settlement
from ringfence.protocols.chat import ChatCodec
from ringfence.testing.http import MemoryResponse

Story = Callable[[], Coroutine[Any, Any, None]]


def test_nothing_is_dispatched_before_the_intent_is_durable() -> None:
    async def story() -> None:
        world = World()
        world.ledger.is_holding = True
        asking = asyncio.create_task(world.ask())
        await turns()
        assert world.providers.sent == []
        assert not asking.done()
        world.ledger.commit()
        assert (await asking).status == 200
        assert len(world.providers.sent) == 1

    asyncio.run(story())


def test_a_ledger_that_fails_refuses_and_gives_everything_back() -> None:
    async def story() -> None:
        world = World()
        world.ledger.is_failing = True
        response = await world.ask()
        assert response.status == 503
        assert code_of(response) == "store_unavailable"
        assert world.providers.sent == []
        world.check_books()
        world.ledger.is_failing = False
        assert (await world.ask()).status == 200
        # The invocation is opened by the first intent that is written.
        assert [intent.opens for intent in world.ledger.intents] == [True]

    asyncio.run(story())


def test_a_ledger_that_fails_while_it_writes_refuses_too() -> None:
    async def story() -> None:
        world = World()
        world.ledger.is_holding = True
        asking = [asyncio.create_task(world.ask()) for _ in range(5)]
        await turns()
        world.ledger.is_failing = True
        world.ledger.commit()
        assert {each.status for each in await asyncio.gather(*asking)} == {503}
        assert world.providers.sent == []
        world.check_books()

    asyncio.run(story())


def _hang_before_the_head() -> Upstream | None:
    return None


def _hang_in_the_body() -> Upstream | None:
    return Upstream(200, ending="hang", kind=b"application/json")


def _hang_in_the_stream() -> Upstream | None:
    return Upstream(200, [chunk(), chunk()], ending="hang")


@pytest.mark.parametrize("where", [_hang_before_the_head, _hang_in_the_body, _hang_in_the_stream])
def test_a_call_whose_task_is_cancelled_gets_its_outcome(
    where: Callable[[], Upstream | None],
) -> None:
    async def story() -> None:
        world = World()

        async def answer(_sent: Sent) -> Upstream:
            upstream = where()
            if upstream is None:
                await asyncio.Event().wait()
            assert upstream is not None
            return upstream

        world.providers.answering = answer
        asking = asyncio.create_task(world.ask(body=chat(stream=where is _hang_in_the_stream)))
        await turns()
        assert len(world.providers.sent) == 1
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        [outcome] = world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "shutting_down")
        assert outcome.cost_nano == outcome.reserved_nano != "0"
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("is_written", [True, False])
def test_a_call_that_is_cancelled_while_its_intent_is_written_is_whole(*, is_written: bool) -> None:
    async def story() -> None:
        world = World()
        world.ledger.is_holding = True
        asking = asyncio.create_task(world.ask())
        await turns()
        asking.cancel()
        await turns()
        world.ledger.is_failing = not is_written
        world.ledger.commit()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert len(world.ledger.intents) == len(world.ledger.outcomes) == is_written
        assert all(outcome.cost_nano == "0" for outcome in world.ledger.outcomes)
        assert world.providers.sent == []
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (grouping.Groups, "find"),
        (limit, "deadline_us"),
        (scope, "model_in_scope"),
        (model_call, "check"),
        (input_bound, "bound"),
        (output_limit, "output_limit"),
        (quote, "worst_case"),
        (budget.Book, "left"),
        (budget.Book, "reserve"),
        (limit.Counted, "of"),
        (path, "account_lines"),
    ],
)
def test_a_decision_that_fails_denies_and_is_recorded(
    place: object, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        world = World()

        def planted(*_: object, **__: object) -> object:
            raise ZeroDivisionError("planted")

        with monkeypatch.context() as patch:
            patch.setattr(place, name, planted)
            response = await world.ask()
        assert response.status == 500
        assert code_of(response) == "internal"
        assert world.providers.sent == []
        [refusal] = world.ledger.refusals
        assert refusal.decision.code == "internal"
        assert refusal.resource == "small"
        world.check_books()
        # The plane goes on.
        assert (await world.ask(body=chat("again"))).status == 200
        world.check_books()

    with caplog.at_level(logging.CRITICAL):
        asyncio.run(story())


@pytest.mark.parametrize(
    ("place", "name", "status", "is_charged"),
    [
        (ChatCodec, "rewrite", 500, False),
        (ChatCodec, "read", 500, True),
        (settlement, "charge_for", 200, True),
    ],
)
def test_a_fault_after_the_intent_leaves_one_outcome(  # noqa: PLR0913, PLR0917 (what is planted, and where)
    place: object,
    name: str,
    status: int,
    is_charged: bool,  # noqa: FBT001 (a case of the table)
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def planted(*_: object, **__: object) -> object:
        raise ZeroDivisionError("planted")

    async def story() -> None:
        world = World()
        monkeypatch.setattr(place, name, planted)
        response = await world.ask()
        assert response.status == status
        [outcome] = world.ledger.outcomes
        assert outcome.cost_nano == (outcome.reserved_nano if is_charged else "0")
        world.check_books()

    with caplog.at_level(logging.CRITICAL):
        asyncio.run(story())


@pytest.mark.parametrize("name", ["feed", "flush"])
def test_a_stream_that_fails_inside_ours_is_cut_and_settled(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def planted(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError("planted")

    async def story() -> None:
        world = World()
        world.providers.answering = always(lambda: Upstream(pieces=[chunk(), chunk()]))
        monkeypatch.setattr(type(ChatCodec().stream(_asked())), name, planted)
        response = await world.ask(body=chat(stream=True))
        assert response.is_aborted
        assert not response.is_ended
        [outcome] = world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.FAILED, "internal")
        assert outcome.cost_nano == outcome.reserved_nano
        world.check_books()

    with caplog.at_level(logging.CRITICAL):
        asyncio.run(story())


def _asked() -> Any:  # noqa: ANN401 (a request)
    return ChatCodec().parse(b'{"model":"small","stream":true,"messages":[]}')


def test_a_door_that_fails_is_recorded_where_the_caller_is_known(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def planted(*_: object, **__: object) -> object:
        raise ZeroDivisionError("planted")

    async def story() -> None:
        world = World()
        monkeypatch.setattr(ChatCodec, "parse", planted)
        response = await world.ask()
        assert (response.status, code_of(response)) == (500, "internal")
        assert [each.decision.code for each in world.ledger.refusals] == ["internal"]

    with caplog.at_level(logging.CRITICAL):
        asyncio.run(story())


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_a_client_that_leaves_is_accounted_to_the_end(count: int) -> None:
    async def story() -> None:
        world = World()
        pieces = chat_stream(4)
        upstream = Upstream(pieces=pieces[:count], ending="hang")
        world.providers.answering = always(lambda: upstream)
        response = MemoryResponse()
        asking = asyncio.create_task(
            world.handle("/v1/chat/completions", chat(stream=True), response)
        )
        await turns()
        response.leave()
        for piece in pieces[count:]:
            upstream.feed(piece)
        upstream.end()
        await asking
        [outcome] = world.ledger.outcomes
        assert outcome.status is Status.CLIENT_GONE
        assert outcome.usage is not None
        assert outcome.usage.output_tokens == 4
        world.check_books()

    asyncio.run(story())


def test_what_a_provider_says_cannot_make_an_outcome_unwritable() -> None:
    async def story() -> None:
        world = World()
        usage = {"prompt_tokens": 10**30, "completion_tokens": 1, "total_tokens": 1}
        document = chat_answer(usage=usage, model="m" * 10_000)
        world.providers.answering = always(lambda: whole(document))
        assert (await world.ask()).status == 200
        [outcome] = world.ledger.outcomes
        assert isinstance(outcome, Outcome)
        assert outcome.usage is None
        assert outcome.cost_nano == outcome.reserved_nano
        assert len(outcome.response_model) <= 200
        world.check_books()

    asyncio.run(story())
