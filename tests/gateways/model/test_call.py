import asyncio
import gc
from dataclasses import replace

import msgspec
import pytest
from tests.gateways.model.failover import BUSY, by_host, refusing, two_legs
from tests.gateways.world import (
    NANO,
    Answering,
    Sent,
    Upstream,
    World,
    agent,
    always,
    chat,
    chat_answer,
    chat_stream,
    code_of,
    model,
    organisation,
    turns,
    usd,
    whole,
)

from ringfence.domain.agent import Limits, Scope
from ringfence.domain.budget import Per
from ringfence.domain.error import PeerError, RingfenceError, UnavailableError, UnsentError
from ringfence.domain.event import Status
from ringfence.domain.model import InputBound
from ringfence.domain.price import RateCard, Rates
from ringfence.enforcement.ticket import Ticket
from ringfence.gateways.model.buffer import Collector
from ringfence.gateways.model.call import Call
from ringfence.gateways.model.relay import StreamRelay

UNSENT = UnsentError("provider_unavailable", "no route")


BROKEN = UnavailableError("provider_unavailable", "closed without an answer")


LATE = UnavailableError("provider_timeout", "too late")


async def _unsent(_sent: Sent) -> Upstream:
    raise UNSENT


async def _broken(_sent: Sent) -> Upstream:
    raise BROKEN


async def _late(_sent: Sent) -> Upstream:
    raise LATE


async def _malformed(_sent: Sent) -> Upstream:
    raise PeerError("provider_malformed", "not HTTP")


async def _busy(_sent: Sent) -> Upstream:
    return whole(BUSY, 503)


FINE = always(lambda: whole(chat_answer()))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "first",
    [_unsent, _busy, *map(refusing, (500, 502, 503, 529))],
    ids=["unsent", "busy", "500", "502", "503", "529"],
)
def test_a_provider_that_failed_gives_way_to_the_next(
    first: Answering,
    stream: bool,  # noqa: FBT001 (a case of the table)
) -> None:
    async def story() -> None:
        world = World(two_legs())
        second = always(lambda: Upstream(pieces=chat_stream(7))) if stream else FINE
        world.providers.answering = by_host(house=first, spare=second)
        response = await world.ask(body=chat(stream=stream))
        assert response.status == 200
        assert [sent.json["model"] for sent in world.providers.sent] == [
            "small-upstream",
            "other-upstream",
        ]
        [intent], [outcome] = world.ledger.intents, world.ledger.outcomes
        assert [each.provider for each in outcome.attempts] == ["house", "spare"]
        # One reservation, at the dearest price; charged at the price of the one that answered.
        dear = 30_000 * 50 + 3_000 * intent.input_bound
        assert intent.reserved_nano == str(dear)
        assert outcome.cost_nano == str(5 * 3_000 + 7 * 30_000)
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("first", [_broken, _late, _malformed], ids=["broken", "late", "malformed"])
def test_what_may_have_been_done_is_not_done_twice(first: Answering) -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = by_host(house=first, spare=FINE)
        response = await world.ask()
        assert response.status in {502, 503, 504}
        assert response.headers[b"x-should-retry"] == b"false"
        assert len(world.providers.sent) == 1
        [outcome] = world.ledger.outcomes
        assert outcome.cost_nano == outcome.reserved_nano
        assert outcome.status is Status.FAILED
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("status", [504, 524])
def test_a_provider_that_timed_out_may_charge_and_is_not_asked_elsewhere(status: int) -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = by_host(house=refusing(status), spare=FINE)
        assert (await world.ask()).status == status
        assert len(world.providers.sent) == 1
        [outcome] = world.ledger.outcomes
        assert outcome.error == f"http_{status}"
        assert outcome.cost_nano == outcome.reserved_nano
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("status", [400, 404, 422, 429])
def test_a_request_that_the_provider_refused_is_not_tried_elsewhere(status: int) -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = by_host(house=refusing(status), spare=FINE)
        assert (await world.ask()).status == status
        assert len(world.providers.sent) == 1
        assert world.ledger.outcomes[0].error == f"http_{status}"

    asyncio.run(story())


def test_when_all_fail_the_last_says_why_and_nothing_is_charged() -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = _unsent
        response = await world.ask()
        assert (response.status, code_of(response)) == (503, "provider_unavailable")
        [outcome] = world.ledger.outcomes
        assert [each.error for each in outcome.attempts] == ["provider_unavailable"] * 2
        assert outcome.cost_nano == "0"
        world.providers.answering = _busy
        assert (await world.ask()).status == 503

    asyncio.run(story())


def test_a_fallback_out_of_scope_is_not_tried() -> None:
    async def story() -> None:
        world = World(two_legs(scope=Scope(models=frozenset({"small"}))))
        world.providers.answering = by_host(house=_busy, spare=FINE)
        assert (await world.ask()).status == 503
        assert [sent.origin.host for sent in world.providers.sent] == ["house.example"]
        assert world.ledger.intents[0].reserved_nano == str(
            10_000 * 50 + 1_000 * world.ledger.intents[0].input_bound
        )

    asyncio.run(story())


def test_a_fallback_that_the_invocation_may_not_use_is_not_tried() -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = by_host(house=_busy, spare=FINE)
        opened = await world.ask("/ringfence/v1/invocations", {"models": ["small"]})
        token = msgspec.json.decode(opened.body)["token"]
        assert (await world.ask(token=token)).status == 503
        assert len(world.providers.sent) == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    ("asked", "limits", "sent", "header"),
    [
        (50, Limits(), 50, None),
        (50, Limits(output_tokens=4000), 50, None),
        (5000, Limits(output_tokens=4000), 4000, "4000; cap"),
        (None, Limits(default_output_tokens=70), 70, "70; default"),
        (None, Limits(output_tokens=60, default_output_tokens=60), 60, "60; default"),
    ],
)
def test_the_output_limit_that_holds_is_the_one_that_is_sent(
    asked: int | None, limits: Limits, sent: int, header: str | None
) -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(limits=limits)}))
        body = msgspec.json.encode(
            {k: v for k, v in chat(max_tokens=asked).items() if v is not None}
        )
        response = await world.ask(body=body)
        [request] = world.providers.sent
        given = {k: v for k, v in request.json.items() if k.startswith("max_")}
        assert set(given.values()) == {sent}
        assert response.headers.get(b"ringfence-output-limit", b"").decode() == (header or "")
        if header is None:
            # The client's own bytes, but for the model's name.
            assert request.body == body.replace(b'"small"', b'"small-upstream"')
        assert world.ledger.intents[0].output_limit == sent

    asyncio.run(story())


def test_a_budget_that_affords_less_lowers_the_output_limit_and_says_so() -> None:
    async def story() -> None:
        exact = InputBound(initial_tokens_per_byte=1.0)
        cheap = model("small", price=RateCard(rates=Rates(input=0, output=10 * NANO)))
        plain = organisation(agents={"triage": agent(budgets=(usd(0.0005, Per.DAY),))})
        world = World(replace(plain, models={"small": replace(cheap, input_bound=exact)}))
        response = await world.ask(body=chat(max_tokens=1000))
        assert response.status == 200
        assert response.headers[b"ringfence-output-limit"] == b"50; budget"
        assert world.providers.sent[0].json["max_tokens"] == 50
        [intent] = world.ledger.intents
        assert intent.decision.obligations == ["output_limit=50 (budget)"]

    asyncio.run(story())


def _count(kinds: tuple[type, ...]) -> int:
    return sum(isinstance(each, kinds) for each in gc.get_objects())


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("ending", ["end", "hang", BROKEN], ids=str)
def test_a_call_that_is_over_is_freed_at_once(
    ending: RingfenceError | str, *, stream: bool
) -> None:
    """A cycle would keep its bodies until the next collection, a thousand calls later."""
    kinds = (Call, Ticket, StreamRelay, Collector)

    async def story() -> None:
        world = World()
        pieces = chat_stream(3) if stream else [msgspec.json.encode(chat_answer())]
        kind = b"text/event-stream" if stream else b"application/json"
        upstreams: list[Upstream] = []

        async def answer(_sent: Sent) -> Upstream:
            upstreams.append(Upstream(pieces=pieces, ending=ending, kind=kind))
            return upstreams[-1]

        world.providers.answering = answer
        asking = asyncio.create_task(world.ask(body=chat(stream=stream)))
        await turns()
        await world.suspend()
        await asking
        upstreams.clear()
        assert _count(kinds) == before
        world.check_books()

    gc.collect()
    before = _count(kinds)
    gc.disable()
    try:
        asyncio.run(story())
    finally:
        gc.enable()


def test_a_call_that_is_stopped_before_its_answer_is_told_why() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = _never
        asking = asyncio.create_task(world.ask())
        await turns()
        await world.suspend()
        response = await asking
        assert (response.status, code_of(response)) == (403, "agent_suspended")
        [outcome] = world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "agent_suspended")
        assert outcome.cost_nano == outcome.reserved_nano != "0"

    asyncio.run(story())


async def _never(_sent: Sent) -> Upstream:
    await asyncio.Event().wait()
    raise AssertionError


async def never(_sent: Sent) -> Upstream:
    await asyncio.Event().wait()
    raise AssertionError


def test_a_provider_that_does_not_begin_to_answer_is_waited_for_so_long_and_no_longer() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = never
        asking = asyncio.create_task(world.ask())
        await turns()
        world.clock.advance(600 * 1_000_000)
        world.worker.tidy()
        await turns()
        assert not asking.done()
        world.clock.advance(1)
        world.renew()
        world.worker.tidy()
        response = await asking
        assert (response.status, code_of(response)) == (504, "provider_timeout")
        [outcome] = world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.FAILED, "provider_timeout")
        assert outcome.cost_nano == outcome.reserved_nano
        assert [each.error for each in outcome.attempts] == ["provider_timeout"]
        # It speaks against the model, as a failure that the provider itself reports would.
        assert [each.name for each in world.worker.watch.breakers.standing("org_acme")] == ["small"]
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_call_that_never_ends_is_ended(is_stream: bool) -> None:  # noqa: FBT001 (a case)
    async def story() -> None:
        world = World()
        kind = b"text/event-stream" if is_stream else b"application/json"
        world.providers.answering = always(
            lambda: Upstream(200, chat_stream()[:2], ending="hang", kind=kind)
        )
        asking = asyncio.create_task(world.ask(body=chat(stream=is_stream)))
        await turns()
        world.clock.advance(3600 * 1_000_000 + 1)
        world.renew()
        world.worker.tidy()
        response = await asking
        [outcome] = world.ledger.outcomes
        assert outcome.error == "provider_timeout"
        if is_stream:
            assert outcome.status is Status.CUT
            assert response.is_ended
            assert b"took longer than 3600 seconds" in response.body
        else:
            assert outcome.status is Status.FAILED
            assert response.status == 504
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("is_written", [True, False])
def test_a_ledger_that_is_late_denies_and_what_it_writes_later_gets_its_end(
    is_written: bool,  # noqa: FBT001 (a case)
) -> None:
    async def story() -> None:
        world = World()
        world.ledger.is_holding = True
        asking = asyncio.create_task(world.ask())
        await turns()
        world.clock.advance(10 * 1_000_000)
        world.worker.tidy()
        await turns()
        assert not world.worker.invocations.find("inv_1") or not asking.done()
        world.clock.advance(1)
        world.worker.tidy()
        await turns()
        world.ledger.is_failing = not is_written
        world.ledger.commit()
        response = await asking
        assert (response.status, code_of(response)) == (503, "store_unavailable")
        assert not response.is_aborted
        assert world.providers.sent == []
        assert [each.cost_nano for each in world.ledger.outcomes] == ["0"] * is_written
        world.check_books()

    asyncio.run(story())
