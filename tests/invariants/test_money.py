"""I2: spent + reserved ≤ limit, in every scope and at every instant, whatever happens."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from tests.gateways.world import (
    RATES,
    Sent,
    Upstream,
    World,
    agent,
    answer_chat,
    chat,
    chat_answer,
    chat_stream,
    code_of,
    error_of,
    gemini,
    message,
    model,
    organisation,
    respond,
    turns,
    usd,
    whole,
)

from ringfence.decisions.budget import Book
from ringfence.decisions.reservation import (
    NO_COUNTS,
    Count,
    Demand,
    Reservation,
    Settled,
    Shortfall,
)
from ringfence.domain.agent import Limits
from ringfence.domain.budget import Per
from ringfence.domain.error import UnavailableError, UnsentError
from ringfence.domain.event import Status
from ringfence.domain.money import Money
from ringfence.domain.organisation import Organisation
from ringfence.domain.price import RateCard
from ringfence.testing.http import MemoryResponse

OUTPUT = 100
WORST = 10_000 * OUTPUT
"""Nano-dollars of one call where only output costs: 10 USD per million tokens."""
CALLS, AFFORDED = 200, 50


@pytest.fixture(autouse=True)
def books(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Check the invariant after every change to any book; gives how often it was checked."""
    checked = [0]

    def check(book: Book) -> None:
        checked[0] += 1
        for line in book.standing("org_acme", 0):
            assert line.spent + line.reserved <= line.limit + line.overrun, line
            assert line.reserved >= 0

    reserve, settle = Book.reserve, Book.settle
    free, release = Book.free, Book.release

    def reserving(
        self: Book,
        demands: Sequence[Demand],
        amount: Money,
        now_us: int,
        counts: Sequence[Count] = NO_COUNTS,
    ) -> Reservation | Shortfall:
        made = reserve(self, demands, amount, now_us, counts)
        check(self)
        return made

    def settling(
        self: Book, reservation: Reservation, cost: Money, tokens: int | None = None
    ) -> Settled:
        made = settle(self, reservation, cost, tokens)
        check(self)
        return made

    def freeing(self: Book, reservation: Reservation) -> None:
        free(self, reservation)
        check(self)

    def releasing(self: Book, reservation: Reservation) -> None:
        release(self, reservation)
        check(self)

    monkeypatch.setattr(Book, "reserve", reserving)
    monkeypatch.setattr(Book, "settle", settling)
    monkeypatch.setattr(Book, "free", freeing)
    monkeypatch.setattr(Book, "release", releasing)
    yield checked
    assert checked[0] > 0


def only_output(afforded: int = AFFORDED, answers: int = 1) -> Organisation:
    """A budget for exactly so many calls of `OUTPUT` tokens each."""
    card = RateCard(rates=replace(RATES, input=0))
    plain = organisation()
    names = Limits(default_output_tokens=OUTPUT, model_calls=None)
    budgets = (usd(afforded * answers * WORST / 1e9, Per.DAY),)
    return replace(
        plain,
        models={**plain.models, "small": model("small", price=card)},
        agents={"triage": agent(limits=names, budgets=budgets)},
    )


class Gate:
    """Holds every answer until the test lets them go, so that all calls run at once."""

    def __init__(self, answer: Callable[[Sent], Upstream]) -> None:
        self._answer = answer
        self._open = asyncio.Event()

    async def __call__(self, sent: Sent) -> Upstream:
        await self._open.wait()
        return self._answer(sent)

    def open(self) -> None:
        self._open.set()


async def rush(
    world: World, answer: Callable[[Sent], Upstream], body: dict[str, object]
) -> list[MemoryResponse]:
    """All calls at once; nothing is answered before every one has been let through or refused."""
    gate = Gate(answer)
    world.providers.answering = gate
    responses = [MemoryResponse() for _ in range(CALLS)]
    asking = [
        asyncio.create_task(world.handle("/v1/chat/completions", body, response))
        for response in responses
    ]
    await turns()
    assert len(world.providers.sent) == AFFORDED
    assert sum(each.is_started for each in responses) == CALLS - AFFORDED
    gate.open()
    await asyncio.gather(*asking)
    assert len(world.providers.sent) == AFFORDED
    assert {each.status for each in responses if code(each) == "budget_exhausted"} == {402}
    world.check_books()
    return responses


def code(response: MemoryResponse) -> str:
    return code_of(response) if response.status == 402 else ""


def charged(world: World) -> int:
    return sum(int(outcome.cost_nano) for outcome in world.ledger.outcomes)


def test_exactly_what_the_budget_affords_reaches_the_provider() -> None:
    async def story() -> None:
        world = World(only_output())
        responses = await rush(
            world, lambda _: whole(chat_answer(5, OUTPUT)), chat(max_tokens=OUTPUT)
        )
        assert sum(each.status == 200 for each in responses) == AFFORDED
        assert charged(world) == AFFORDED * WORST
        [line] = [x for x in world.worker.book.standing("org_acme", 0) if x.key.per is Per.DAY]
        assert (line.spent, line.left) == (AFFORDED * WORST, 0)

    asyncio.run(story())


def test_what_is_not_used_is_given_back_and_paid_out_again() -> None:
    async def story() -> None:
        world = World(only_output())
        await rush(world, lambda _: whole(chat_answer(5, 10)), chat(max_tokens=OUTPUT))
        assert charged(world) == AFFORDED * WORST // 10
        world.providers.answering = answer_chat
        assert (await world.ask(body=chat(max_tokens=OUTPUT))).status == 200

    asyncio.run(story())


def test_several_answers_are_paid_for_one_by_one() -> None:
    async def story() -> None:
        world = World(only_output(answers=5))
        body = chat(max_tokens=OUTPUT, n=5)
        await rush(world, lambda _: whole(chat_answer(5, 5 * OUTPUT)), body)
        assert charged(world) == AFFORDED * 5 * WORST

    asyncio.run(story())


def _cut() -> Upstream:
    broken = UnavailableError("provider_unavailable", "it broke off")
    return Upstream(pieces=chat_stream(6)[:4], ending=broken)


def _silent() -> Upstream:
    late = UnavailableError("provider_timeout", "nothing came")
    return Upstream(pieces=chat_stream(6)[:2], ending=late)


def _unfinished() -> Upstream:
    return Upstream(pieces=chat_stream(6)[:4])


def _whole_stream() -> Upstream:
    return Upstream(pieces=chat_stream(6))


def _without_usage() -> Upstream:
    return Upstream(pieces=chat_stream(6, usage=False))


@pytest.mark.parametrize(
    ("make", "each"),
    [
        (_cut, WORST),
        (_silent, WORST),
        (_unfinished, WORST),
        (_whole_stream, 6 * 10_000),
        (_without_usage, WORST),
    ],
    ids=["cut", "silent", "unfinished", "whole", "without usage"],
)
def test_the_books_hold_for_streams(make: Callable[[], Upstream], each: int) -> None:
    async def story() -> None:
        world = World(only_output())
        await rush(world, lambda _: make(), chat(stream=True, max_tokens=OUTPUT))
        assert charged(world) == AFFORDED * each

    asyncio.run(story())


def _refused() -> Upstream:
    return whole({"error": {"message": "overloaded"}}, status=500)


def _nonsense() -> Upstream:
    return Upstream(pieces=[b"<html>"], kind=b"application/json")


def _late() -> Upstream:
    late = UnavailableError("provider_timeout", "nothing came")
    return Upstream(ending=late, kind=b"application/json")


def _no_usage() -> Upstream:
    return whole(chat_answer(usage=None))


def _zero() -> Upstream:
    return whole(chat_answer(0, 0))


def _negative() -> Upstream:
    return whole(chat_answer(usage={"prompt_tokens": 5, "completion_tokens": -7}))


@pytest.mark.parametrize(
    ("make", "each"),
    [(_refused, 0), (_nonsense, WORST), (_late, WORST), (_no_usage, WORST), (_zero, 0)],
    ids=["status 500", "nonsense", "late", "no usage", "zero usage"],
)
def test_the_books_hold_for_whole_answers(make: Callable[[], Upstream], each: int) -> None:
    async def story() -> None:
        world = World(only_output())
        await rush(world, lambda _: make(), chat(max_tokens=OUTPUT))
        assert charged(world) == AFFORDED * each

    asyncio.run(story())


def test_negative_counts_are_no_counts() -> None:
    async def story() -> None:
        world = World(only_output())
        await rush(world, lambda _: _negative(), chat(max_tokens=OUTPUT))
        # Nobody can take money out of a budget.
        assert charged(world) == AFFORDED * WORST

    asyncio.run(story())


def test_more_than_was_reserved_is_charged_in_full_and_closes_the_budget() -> None:
    async def story() -> None:
        world = World(only_output())
        body = chat(max_tokens=OUTPUT)
        responses = await rush(world, lambda _: whole(chat_answer(5, 3 * OUTPUT)), body)
        assert sum(each.status == 200 for each in responses) == AFFORDED
        assert charged(world) == AFFORDED * 3 * WORST
        assert {outcome.overrun_nano for outcome in world.ledger.outcomes} == {str(2 * WORST)}
        assert (await world.ask(body=chat(max_tokens=1))).status == 402

    asyncio.run(story())


@pytest.mark.parametrize("boundary", range(10))
def test_the_books_hold_when_clients_leave_at_any_chunk(boundary: int) -> None:
    async def story() -> None:
        world = World(only_output())
        pieces = chat_stream(6)
        left: list[MemoryResponse] = []

        class Leaving(MemoryResponse):
            def write(self, data: bytes) -> None:
                super().write(data)
                if len(self.writes) == boundary and not self.is_disconnected:
                    left.append(self)
                    self.leave()

        gate = Gate(lambda _: Upstream(pieces=pieces))
        world.providers.answering = gate
        body = chat(stream=True, max_tokens=OUTPUT)
        responses = [Leaving() for _ in range(CALLS)]
        asking = [
            asyncio.create_task(world.handle("/v1/chat/completions", body, each))
            for each in responses
        ]
        await turns()
        gone = [each for each in responses if boundary == 0 and not each.is_started]
        for each in gone:
            each.leave()
        gate.open()
        await asyncio.gather(*asking)
        assert len(world.providers.sent) == AFFORDED
        assert charged(world) == AFFORDED * 6 * 10_000
        count = sum(x.status is Status.CLIENT_GONE for x in world.ledger.outcomes)
        assert count == len([x for x in left if x in responses and x.status == 200]) + len(gone)
        world.check_books()

    asyncio.run(story())


def test_a_provider_that_was_never_reached_costs_nothing() -> None:
    async def story() -> None:
        world = World(only_output())

        def away(_sent: Sent) -> Upstream:
            raise UnsentError("provider_unavailable", "no route")

        responses = await rush(world, away, chat(max_tokens=OUTPUT))
        assert sum(each.status == 503 for each in responses) == AFFORDED
        assert charged(world) == 0

    asyncio.run(story())


def test_the_budgets_of_one_call_are_reserved_together_or_not_at_all() -> None:
    async def story() -> None:
        world = World(replace(only_output(), budgets=(usd(WORST / 1e9, Per.MONTH),)))
        # Too little for 16 tokens of each answer, so that nothing can be lowered either.
        assert (await world.ask(body=chat(max_tokens=OUTPUT, n=7))).status == 402
        for line in world.worker.book.standing("org_acme", 0):
            assert (line.spent, line.reserved) == (0, 0)

    asyncio.run(story())


def test_a_stop_says_which_budget_what_is_left_when_it_resets_and_whom_to_ask() -> None:
    async def story() -> None:
        world = World(only_output(afforded=1))
        world.providers.answering = lambda _: _answered(OUTPUT)
        assert (await world.ask(body=chat(max_tokens=OUTPUT))).status == 200
        response = await world.ask(body=chat(max_tokens=OUTPUT))
        assert response.status == 402
        facts = error_of(response)["ringfence"]
        assert facts["budget"] == "agent per day"
        assert facts["left_usd"] == "0"
        assert facts["resets_at"] == "2026-01-02T00:00+00:00"
        assert facts["ask"] == "owner@acme.example"

    asyncio.run(story())


async def _answered(output: int) -> Upstream:
    return whole(chat_answer(5, output))


TEXT = {"role": "user", "content": "hello"}


def _chat_with(**more: object) -> tuple[str, dict[str, object]]:
    return "/v1/chat/completions", chat(**more)


def _respond_with(**more: object) -> tuple[str, dict[str, object]]:
    return "/v1/responses", respond(**more)


def _message_with(**more: object) -> tuple[str, dict[str, object]]:
    return "/v1/messages", message(**more)


def _gemini_with(**more: object) -> tuple[str, dict[str, object]]:
    return "/v1beta/models/flash:generateContent", gemini(**more)


def _image(url: str) -> dict[str, object]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def _input(**part: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": [part]}]


_AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
_FILE = {"fileData": {"fileUri": "files/1", "mimeType": "text/plain"}}
_URL = {"type": "url", "url": "https://x.example/y"}

ESCAPES = [
    (_respond_with(previous_response_id="resp_other"), "provider_object"),
    (_respond_with(conversation="conv_1"), "provider_object"),
    (_respond_with(conversation={"id": "conv_1"}), "provider_object"),
    (_respond_with(background=True), "field_refused"),
    (_respond_with(service_tier="priority"), "field_refused"),
    (_respond_with(prompt={"id": "pmpt_1"}), "provider_object"),
    (_respond_with(input=[{"type": "item_reference", "id": "msg_1"}]), "provider_object"),
    (_respond_with(input=_input(type="input_image", file_id="file_1")), "input_unbounded"),
    (_respond_with(input=_input(type="input_image", image_url="https://x.example/y")), ""),
    (_respond_with(input=_input(type="input_file", file_id="file_1")), ""),
    (_respond_with(tools=[{"type": "web_search"}]), "hosted_tool"),
    (_respond_with(tools=[{"type": "web_search_preview"}]), "hosted_tool"),
    (_respond_with(tools=[{"type": "mcp", "server_url": "https://x.example"}]), "hosted_tool"),
    (_respond_with(tools=[{"type": "code_interpreter", "container": "c"}]), "hosted_tool"),
    (_respond_with(tools=[{"type": "file_search", "vector_store_ids": ["v"]}]), "hosted_tool"),
    (_respond_with(tools=[{"type": "image_generation"}]), "hosted_tool"),
    (_chat_with(service_tier="flex"), "field_refused"),
    (_chat_with(n=1_000), "field_refused"),
    (_chat_with(best_of=1_000), "field_refused"),
    (_chat_with(modalities=["text", "audio"]), "field_refused"),
    (_chat_with(audio={"voice": "alloy", "format": "wav"}), "field_refused"),
    (_chat_with(prediction={"type": "content", "content": "x"}), "field_refused"),
    (_chat_with(web_search_options={}), "hosted_tool"),
    (_chat_with(messages=[_image("https://x.example/y.png")]), "input_unbounded"),
    (_chat_with(messages=[_image("data:image/png;base64,AAAA")]), "input_unbounded"),
    (_chat_with(messages=[{"role": "user", "content": [_AUDIO]}]), "input_unbounded"),
    (_chat_with(messages=[{"role": "assistant", "audio": {"id": "audio_1"}}]), ""),
    (_message_with(mcp_servers=[{"type": "url", "url": "https://x", "name": "x"}]), "hosted_tool"),
    (_message_with(container="container_1"), ""),
    (_message_with(service_tier="auto"), "field_refused"),
    (_message_with(speed="fast"), "field_refused"),
    (_message_with(tools=[{"type": "web_search_20250305", "name": "web_search"}]), "hosted_tool"),
    (_message_with(tools=[{"type": "web_fetch_20250910", "name": "web_fetch"}]), "hosted_tool"),
    (
        _message_with(tools=[{"type": "code_execution_20250825", "name": "code_execution"}]),
        "hosted_tool",
    ),
    (
        _message_with(messages=[{"role": "user", "content": [{"type": "image", "source": _URL}]}]),
        "input_unbounded",
    ),
    (_gemini_with(cachedContent="cachedContents/1"), "provider_object"),
    (_gemini_with(cached_content="cachedContents/1"), "provider_object"),
    (_gemini_with(tools=[{"googleSearch": {}}]), "hosted_tool"),
    (_gemini_with(tools=[{"google_search": {}}]), "hosted_tool"),
    (_gemini_with(tools=[{"codeExecution": {}}]), "hosted_tool"),
    (_gemini_with(tools=[{"urlContext": {}}]), "hosted_tool"),
    (_gemini_with(generationConfig={"candidateCount": 1_000}), "field_refused"),
    (_gemini_with(contents=[{"role": "user", "parts": [_FILE]}]), "provider_object"),
]
"""Every field that could bring input or a price beyond the bound, and the code it is refused with
(empty: one of several)."""


@pytest.mark.parametrize(("asked", "expected"), ESCAPES)
def test_what_could_escape_a_bound_is_refused(
    asked: tuple[str, dict[str, object]], expected: str, books: list[int]
) -> None:
    books[0] += 1  # nothing may come as far as a book

    async def story() -> None:
        world = World()
        target, body = asked
        if target == "/v1beta/models/flash:generateContent" and "contents" not in body:
            body["contents"] = [{"role": "user", "parts": [{"text": "hello"}]}]
        response = await world.ask(target, body)
        assert response.status in {400, 403}, response.body
        found = code_of(response)
        allowed = {"provider_object", "input_unbounded", "field_refused", "request_malformed"}
        assert found == expected or (not expected and found in allowed), found
        assert world.providers.sent == []
        assert [each.decision.code for each in world.ledger.refusals] == [found]

    asyncio.run(story())


def test_two_output_limits_are_no_limit(books: list[int]) -> None:
    books[0] += 1

    async def story() -> None:
        world = World()
        response = await world.ask(body=chat(max_completion_tokens=5000))
        assert (response.status, code_of(response)) == (400, "request_malformed")
        assert world.providers.sent == []

    asyncio.run(story())


@pytest.mark.parametrize("field", ["n", "best_of"])
def test_every_answer_that_may_be_made_is_reserved(field: str) -> None:
    async def story() -> None:
        world = World(only_output())
        await world.ask(body=chat(max_tokens=OUTPUT, **{field: 3}))
        assert world.ledger.intents[0].reserved_nano == str(3 * WORST)

    asyncio.run(story())


def test_a_hosted_tool_needs_a_price(books: list[int]) -> None:
    books[0] += 1

    async def story() -> None:
        unpriced = model(
            "small", hosted_tools=frozenset({"web_search"}), hosted_uses=1, hosted_tokens=0
        )
        world = World(organisation(models={"small": unpriced}))
        refused = await world.ask("/v1/responses", respond(tools=[{"type": "web_search"}]))
        assert (refused.status, code_of(refused)) == (403, "price_unknown")

    asyncio.run(story())
