import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.world import (
    Upstream,
    World,
    agent,
    always,
    chat,
    chat_stream,
    chunk,
    code_of,
    gemini,
    gemini_answer,
    message,
    organisation,
    respond,
    turns,
)

from ringfence.domain.agent import AgentState, Limits
from ringfence.domain.error import UnavailableError
from ringfence.domain.event import Status
from ringfence.domain.verdict import Code, Reason
from ringfence.gateways.model.relay import Passage, StreamRelay
from ringfence.protocols.chat import ChatCodec
from ringfence.protocols.sse import MAX_EVENT_BYTES
from ringfence.testing.clock import ManualClock
from ringfence.testing.http import MemoryResponse

STOP = Reason(code=Code.BUDGET_EXHAUSTED, message="The money is spent.")


async def relayed(  # noqa: PLR0913 (what a relay is made with)
    upstream: Upstream,
    response: MemoryResponse,
    *,
    allowed: int = 1000,
    drain_s: float = 5.0,
    linger_s: float = 5.0,
    acting: Callable[[StreamRelay], None] = lambda _: None,
) -> Passage:
    codec = ChatCodec()
    asked = codec.parse(msgspec.json.encode(chat(stream=True)))
    relay = StreamRelay(
        upstream=upstream,
        response=response,
        reader=codec.stream(asked),
        codec=codec,
        guard=lambda passed: STOP if passed > allowed else None,
        inspect=lambda _: None,
        clock=ManualClock(),
        drain_s=drain_s,
        linger_s=linger_s,
    )
    response.start(200, [])
    acting(relay)
    passed: asyncio.Future[Passage] = asyncio.get_running_loop().create_future()
    relay.begin(passed.set_result)
    return await passed


def events(data: bytes) -> list[bytes]:
    assert data.endswith(b"\n\n"), "the stream ends in the midst of an event"
    return [event + b"\n\n" for event in data[:-2].split(b"\n\n")]


@given(st.data())
def test_a_stream_passes_as_it_came_in_any_split(data: st.DataObject) -> None:
    whole = b"".join(chat_stream(5, usage=False))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=12)))
    bounds = [0, *cuts, len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(bounds)]
    response = MemoryResponse()
    passage = asyncio.run(relayed(Upstream(pieces=pieces), response))
    assert response.body == whole == passage.body
    assert response.is_ended
    assert (passage.status, passage.error) == (Status.OK, "")


@given(st.data())
def test_a_cut_comes_after_a_whole_event_in_any_split(data: st.DataObject) -> None:
    whole = b"".join(chunk(f"w{number} ") for number in range(12))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=12)))
    bounds = [0, *cuts, len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(bounds)]
    allowed = data.draw(st.integers(0, 8))
    response = MemoryResponse()
    upstream = Upstream(pieces=pieces, ending="hang")
    passage = asyncio.run(relayed(upstream, response, allowed=allowed))
    sent = events(response.body)
    stop = events(ChatCodec().stream_stop(STOP))
    assert sent[-len(stop) :] == stop
    kept = sent[: -len(stop)]
    assert whole.startswith(b"".join(kept))
    assert len(kept) <= allowed
    assert response.is_ended
    assert upstream.is_closed
    assert (passage.status, passage.stop) == (Status.CUT, STOP)


@pytest.mark.parametrize("count", range(6))
def test_a_stream_that_breaks_off_is_seen_to_break_off(count: int) -> None:
    broken = UnavailableError("provider_timeout", "too late")
    response = MemoryResponse()
    upstream = Upstream(pieces=chat_stream(5)[:count], ending=broken)
    passage = asyncio.run(relayed(upstream, response))
    assert response.is_aborted
    assert not response.is_ended
    assert (passage.status, passage.error) == (Status.FAILED, "provider_timeout")


def test_a_stream_without_its_end_is_not_whole() -> None:
    response = MemoryResponse()
    passage = asyncio.run(relayed(Upstream(pieces=chat_stream(5)[:3]), response))
    assert (passage.status, passage.error) == (Status.FAILED, "stream_incomplete")


def test_what_an_agent_that_left_had_ordered_is_read_to_its_end() -> None:
    response = MemoryResponse()
    upstream = Upstream(pieces=chat_stream(5))
    passage = asyncio.run(relayed(upstream, response, acting=lambda _: response.leave()))
    assert passage.status is Status.CLIENT_GONE
    assert passage.error == ""
    assert response.body == b""


def test_a_whole_answer_ends_though_its_provider_holds_the_connection() -> None:
    response = MemoryResponse()
    upstream = Upstream(pieces=chat_stream(5), ending="hang")
    passage = asyncio.run(relayed(upstream, response, linger_s=0.01))
    assert (passage.status, passage.error) == (Status.OK, "")
    assert response.body.endswith(b"data: [DONE]\n\n")
    assert response.is_ended
    assert upstream.is_closed


def test_an_event_that_does_not_end_is_the_providers_fault() -> None:
    response = MemoryResponse()
    upstream = Upstream(pieces=[chunk(), b"data: " + b"x" * MAX_EVENT_BYTES, chunk()])
    passage = asyncio.run(relayed(upstream, response))
    assert (passage.status, passage.error) == (Status.FAILED, "provider_malformed")
    assert response.body == chunk()
    assert response.is_aborted
    assert upstream.is_closed


def test_reading_on_has_an_end() -> None:
    response = MemoryResponse()
    upstream = Upstream(pieces=[chunk()], ending="hang")
    passage = asyncio.run(
        relayed(upstream, response, drain_s=0.01, acting=lambda _: response.leave())
    )
    assert (passage.status, passage.error) == (Status.CLIENT_GONE, "drain_timeout")
    assert upstream.is_closed


def test_a_stop_from_outside_ends_a_silent_stream() -> None:
    response = MemoryResponse()
    upstream = Upstream(pieces=[chunk()], ending="hang")

    def stop_soon(relay: StreamRelay) -> None:
        asyncio.get_running_loop().call_later(0.01, relay.stop, STOP)

    passage = asyncio.run(relayed(upstream, response, acting=stop_soon))
    assert passage.stop == STOP
    assert response.body == chunk() + ChatCodec().stream_stop(STOP)
    assert response.is_ended


def test_a_slow_agent_holds_back_the_provider() -> None:
    class Slow(MemoryResponse):
        def on_pause(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
            self.pause, self.resume = pause, resume

    async def story() -> None:
        response = Slow()
        upstream = Upstream(pieces=chat_stream(5))
        running = asyncio.create_task(relayed(upstream, response))
        await turns(2)
        response.pause()
        before = len(response.writes)
        await turns()
        assert upstream.is_paused
        assert len(response.writes) == before
        response.resume()
        assert (await running).status is Status.OK

    asyncio.run(story())


# In the whole path


def runaway(limit: int) -> World:
    limits = Limits(default_output_tokens=limit)
    return World(organisation(agents={"triage": agent(limits=limits)}))


def _chat_runaway() -> list[bytes]:
    return [chunk() for _ in range(200)]


def _message_runaway() -> list[bytes]:
    start = {"id": "m", "model": "c", "usage": {"input_tokens": 5, "output_tokens": 1}}
    said = {"type": "content_block_delta", "index": 0}
    delta = {"type": "text_delta", "text": "word "}
    return [
        _named("message_start", {"type": "message_start", "message": start}),
        *[_named("content_block_delta", said | {"delta": delta}) for _ in range(200)],
    ]


def _response_runaway() -> list[bytes]:
    name = "response.output_text.delta"
    return [
        _named("response.created", {"type": "response.created", "response": {"id": "resp_1"}}),
        *[_named(name, {"type": name, "delta": "word "}) for _ in range(200)],
    ]


def _gemini_runaway() -> list[bytes]:
    part = {"candidates": [{"content": {"role": "model", "parts": [{"text": "word "}]}}]}
    return [b"data: " + msgspec.json.encode(part) + b"\r\n\r\n" for _ in range(200)]


def _named(name: str, document: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(document) + b"\n\n"


@pytest.mark.parametrize(
    ("target", "body", "pieces"),
    [
        ("/v1/chat/completions", chat(stream=True, max_tokens=20), _chat_runaway()),
        ("/v1/messages", message(stream=True, max_tokens=20), _message_runaway()),
        ("/v1/responses", respond(stream=True, max_output_tokens=20), _response_runaway()),
        (
            "/v1beta/models/flash:streamGenerateContent?alt=sse",
            gemini(generationConfig={"maxOutputTokens": 20}),
            _gemini_runaway(),
        ),
    ],
    ids=["chat", "messages", "responses", "gemini"],
)
def test_a_runaway_stream_is_cut_and_its_invocation_stays_stopped(
    target: str, body: dict[str, object], pieces: list[bytes]
) -> None:
    async def story() -> None:
        world = runaway(20)
        world.providers.answering = always(lambda: Upstream(pieces=pieces, ending="hang"))
        response = await world.ask(target, body)
        assert response.status == 200
        assert response.is_ended
        assert b"budget_exhausted" in response.body or b"set aside" in response.body
        # No more than what was reserved, then our own last words.
        assert response.body.count(b"word ") <= 20
        assert response.body.startswith(pieces[0])
        [outcome] = world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "budget_exhausted")
        assert outcome.cost_nano == outcome.reserved_nano
        again = await world.ask(target, body)
        assert (again.status, code_of(again)) == (402, "budget_exhausted")
        assert "invocation.stopped" in world.ledger.changes
        assert len(world.providers.sent) == 1
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("state", [AgentState.SUSPENDED, AgentState.RETIRED])
@pytest.mark.parametrize("stream", [True, False])
def test_what_a_suspended_agent_has_running_ends_at_once(
    state: AgentState,
    stream: bool,  # noqa: FBT001 (a case of the table)
) -> None:
    async def story() -> None:
        world = World()
        upstream = Upstream(pieces=[chunk()] if stream else [], ending="hang")
        if not stream:
            upstream.headers = [(b"content-type", b"application/json")]
        world.providers.answering = always(lambda: upstream)
        response = MemoryResponse()
        body = chat(stream=stream)
        asking = asyncio.create_task(world.handle("/v1/chat/completions", body, response))
        await turns()
        assert not asking.done()
        await world.suspend(state=state)
        await asking
        assert f"agent_{state.value}".encode() in response.body
        assert upstream.is_closed
        [outcome] = world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, f"agent_{state.value}")
        assert outcome.cost_nano == outcome.reserved_nano
        assert response.status == (200 if stream else 403)
        world.check_books()
        # The run itself goes on when the agent may act again.
        await world.suspend(state=AgentState.ACTIVE)
        world.providers.answering = always(lambda: Upstream(pieces=chat_stream()))
        assert (await world.ask(body=chat(stream=True))).status == 200

    asyncio.run(story())


def test_what_a_revoked_credential_has_running_ends_at_once() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(lambda: Upstream(pieces=[chunk()], ending="hang"))
        asking = asyncio.create_task(world.ask(body=chat(stream=True)))
        await turns()
        known = world.credentials["triage"]
        await world.worker.credentials_changed([replace(known, revoked_us=1)])
        assert b"credential_revoked" in (await asking).body

    asyncio.run(story())


@pytest.mark.parametrize("stream", [True, False])
def test_a_deadline_ends_a_call_that_is_running(
    stream: bool,  # noqa: FBT001 (a case of the table)
) -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(limits=Limits(seconds=60))}))
        upstream = Upstream(pieces=[chunk()] if stream else [], ending="hang")
        if not stream:
            upstream.headers = [(b"content-type", b"application/json")]
        world.providers.answering = always(lambda: upstream)
        asking = asyncio.create_task(world.ask(body=chat(stream=stream)))
        await turns()
        world.clock.advance(59_000_000)
        world.worker.tidy()
        await turns()
        assert not asking.done()
        world.clock.advance(1_000_000)
        world.worker.tidy()
        response = await asking
        assert b"limit_reached" in response.body
        assert [each.error for each in world.ledger.outcomes] == ["limit_reached"]
        assert (await world.ask(body=chat(stream=stream))).status == 402
        world.check_books()

    asyncio.run(story())


def test_a_long_stream_keeps_its_invocation_open() -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(limits=Limits())}))
        upstream = Upstream(pieces=[chunk()], ending="hang")
        world.providers.answering = always(lambda: upstream)
        asking = asyncio.create_task(world.ask(body=chat(stream=True)))
        await turns()
        for _ in range(5):  # longer than an idle invocation stays open
            world.clock.advance(600_000_000)
            world.worker.tidy()
        for piece in chat_stream():
            upstream.feed(piece)
        await turns()
        upstream.end()
        assert (await asking).is_ended
        assert [each.status for each in world.ledger.outcomes] == [Status.OK]
        assert "invocation.expired" not in world.ledger.changes

    asyncio.run(story())


def test_a_stream_answered_with_a_document_is_passed_as_one() -> None:
    async def story() -> None:
        world = World()
        document = gemini_answer()
        data = msgspec.json.encode(document)
        world.providers.answering = always(
            lambda: Upstream(pieces=[data], kind=b"application/json")
        )
        response = await world.ask(body=chat(stream=True))
        assert response.body == data

    asyncio.run(story())
