import asyncio
import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.transport.test_upstream import CUTS, LIMIT, OK, Exchange, Sink, answers, split

from ringfence.domain.error import PeerError
from ringfence.transport.answer import Answer


@settings(max_examples=200, deadline=None)
@given(answers(), CUTS, st.integers(0, 8), st.booleans())
def test_pushing_gives_what_reading_gives(
    script: tuple[bytes, int, bytes, bool],
    cuts: list[int],
    late: int,
    pauses: bool,  # noqa: FBT001 (a case)
) -> None:
    raw, _, body, closes = script

    async def scenario() -> None:
        exchange = Exchange()
        sink = Sink(pauses=pauses)
        for number, part in enumerate(split(raw, cuts)):
            if sink.answer is None and exchange.head.done() and number >= late:
                sink.answer = exchange.head.result()
                sink.answer.pipe(sink)
            if not exchange.transport.is_reading_now:
                await asyncio.sleep(0)
            exchange.transport.feed(part)
        if closes:
            exchange.transport.feed_eof()
        await asyncio.sleep(0)
        if sink.answer is None:
            sink.answer = await exchange.head
            sink.answer.pipe(sink)
        for _ in range(5):
            await asyncio.sleep(0)
        assert b"".join(sink.chunks) == body
        assert sink.ends == ["end"]
        await exchange.leave()

    asyncio.run(scenario())


def test_a_body_at_once_is_given_once_and_leaves_nothing_to_pipe() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(OK + b"Content-Length: 4\r\n\r\nbody")
        assert answer.at_once() == b"body"
        assert answer.at_once() is None
        sink = Sink()
        answer.pipe(sink)
        assert (sink.chunks, sink.ends) == ([], [])
        answer.close()
        await exchange.leave()

    asyncio.run(scenario())


def test_a_body_that_is_still_coming_or_broke_off_is_not_at_once() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(OK + b"Content-Length: 4\r\n\r\nbo")
        assert answer.at_once() is None
        sink = Sink()
        answer.pipe(sink)
        assert sink.chunks == [b"bo"]
        exchange.transport.feed(b"dy")
        assert answer.at_once() is None
        assert (b"".join(sink.chunks), sink.ends) == (b"body", ["end"])
        broken = Exchange()
        answer = await broken.answer(OK + b"Content-Length: 4\r\n\r\nbo")
        broken.transport.feed_eof()
        await asyncio.sleep(0)
        assert answer.at_once() is None
        answer.close()
        await exchange.leave()
        await broken.leave()

    asyncio.run(scenario())


def test_a_body_over_the_readers_limit_is_refused() -> None:
    async def scenario() -> None:
        for head in (b"Content-Length: 100\r\n\r\n", b"\r\n"):
            exchange = Exchange()
            answer = await exchange.answer(OK + head + b"x" * 60)
            with pytest.raises(PeerError) as caught:
                await answer.read(50)
            assert caught.value.code == "provider_malformed"
            answer.close()
            await exchange.leave()

    asyncio.run(scenario())


def test_closing_in_the_middle_gives_up_the_connection() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(OK + b"Content-Length: 9\r\n\r\nabc")
        sink = Sink()
        answer.pipe(sink)
        answer.close()
        answer.close()
        await asyncio.sleep(0)
        assert exchange.transport.is_lost
        assert sink.chunks == [b"abc"]
        assert sink.ends == []
        assert exchange.freed == []

    asyncio.run(scenario())


def test_closing_after_the_end_is_harmless() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(OK + b"Content-Length: 3\r\n\r\nabc")
        answer.close()
        assert exchange.is_reusable
        await exchange.leave()

    asyncio.run(scenario())


def test_a_paused_answer_pushes_nothing_and_stops_the_upstream() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(OK + b"Content-Length: 6\r\n\r\nabc")
        sink = Sink()
        answer.pause()
        answer.pipe(sink)
        assert sink.chunks == []
        assert not exchange.transport.is_reading_now
        assert exchange.line.deadline == float("inf")
        answer.resume()
        assert sink.chunks == [b"abc"]
        assert exchange.transport.protocol is exchange.line
        exchange.transport.feed(b"def")
        assert sink.ends == ["end"]
        await exchange.leave()

    asyncio.run(scenario())


def test_an_answer_nobody_takes_is_held_at_the_upstream() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(OK + b"Content-Length: 200000\r\n\r\n", b"x" * 100_000)
        assert not exchange.transport.is_reading_now
        reading = asyncio.ensure_future(answer.read(LIMIT))
        await asyncio.sleep(0)
        assert exchange.line._transport.is_closing() is False  # noqa: SLF001 (still open)
        exchange.transport.feed(b"x" * 100_000)
        assert len(await reading) == 200_000
        await exchange.leave()

    asyncio.run(scenario())


def test_a_held_upstream_is_read_from_again_when_a_sink_comes() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(OK + b"Content-Length: 200000\r\n\r\n", b"x" * 100_000)
        reading = [exchange.transport.is_reading_now]
        sink = Sink()
        answer.pipe(sink)
        reading.append(exchange.transport.is_reading_now)
        assert reading == [False, True]
        exchange.transport.feed(b"x" * 100_000)
        assert sink.ends == ["end"]
        assert exchange.is_reusable
        await exchange.leave()

    asyncio.run(scenario())


def test_a_sink_is_told_of_a_break_once() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(OK + b"Content-Length: 9\r\n\r\nabc")
        sink = Sink()
        answer.pipe(sink)
        exchange.transport.lose(ConnectionResetError())
        assert sink.chunks == [b"abc"]
        assert [type(end) for end in sink.ends] == [PeerError]
        answer.close()
        assert len(sink.ends) == 1

    asyncio.run(scenario())


def test_an_answer_that_is_over_does_not_keep_its_sink() -> None:
    async def scenario() -> None:
        exchange = Exchange()
        answer = await exchange.answer(OK + b"Content-Length: 1\r\n\r\nx")
        sink = Sink()
        answer.pipe(sink)
        assert sink.ends == ["end"]
        assert not [each for each in gc.get_referrers(sink) if isinstance(each, Answer)]
        await exchange.leave()

    asyncio.run(scenario())
