import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.transport.body import HIGH_WATER_BYTES, Body


class Plain(Body):
    def too_large(self, limit_bytes: int) -> Exception:
        return OverflowError(limit_bytes)


class Source:
    """Notes what a body asks of its connection."""

    def __init__(self) -> None:
        self.is_held = False
        self.wanted = 0

    def hold_body(self) -> None:
        assert not self.is_held
        self.is_held = True

    def release_body(self) -> None:
        assert self.is_held
        self.is_held = False

    def want_body(self) -> None:
        self.wanted += 1


@given(st.lists(st.binary(max_size=20), max_size=8), st.integers(0, 8))
def test_reading_gives_the_same_whenever_it_begins(parts: list[bytes], begin: int) -> None:
    async def scenario() -> None:
        body = Plain(Source(), None)
        reading = None
        for number, part in enumerate(parts):
            if number == begin:
                reading = asyncio.ensure_future(body.read(1000))
                await asyncio.sleep(0)
            body.arrive(part)
        body.finish()
        assert await (reading or body.read(1000)) == b"".join(parts)
        assert await body.read(1000) == b"".join(parts)

    asyncio.run(scenario())


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=8))
def test_chunks_give_every_byte_in_order(parts: list[bytes]) -> None:
    async def scenario() -> None:
        body = Plain(Source(), None)
        found: list[bytes] = []

        async def collect() -> None:
            found.extend([chunk async for chunk in body.chunks()])

        collecting = asyncio.ensure_future(collect())
        for part in parts:
            body.arrive(part)
            await asyncio.sleep(0)
        body.finish()
        await collecting
        assert b"".join(found) == b"".join(parts)

    asyncio.run(scenario())


def test_a_whole_body_is_read_without_a_wait() -> None:
    source = Source()
    body = Plain(source, 3)
    body.arrive(b"abc")
    body.finish()
    with pytest.raises(StopIteration) as caught:
        body.read(3).send(None)
    assert caught.value.value == b"abc"
    assert source.wanted == 0


@pytest.mark.parametrize("length", [None, 4])
def test_a_body_over_the_limit_is_refused_as_soon_as_it_is_known(length: int | None) -> None:
    async def scenario() -> None:
        source = Source()
        body = Plain(source, length)
        if length is None:
            body.arrive(b"abcd")
        with pytest.raises(OverflowError):
            await body.read(3)
        assert source.is_held

    asyncio.run(scenario())


def test_a_body_that_grows_over_the_limit_is_refused() -> None:
    async def scenario() -> None:
        body = Plain(Source(), None)
        reading = asyncio.ensure_future(body.read(3))
        await asyncio.sleep(0)
        body.arrive(b"abcd")
        with pytest.raises(OverflowError):
            await reading

    asyncio.run(scenario())


def test_the_source_is_held_until_somebody_reads() -> None:
    async def scenario() -> None:
        source = Source()
        body = Plain(source, None)
        body.arrive(b"x" * HIGH_WATER_BYTES)
        held = [source.is_held]
        body.arrive(b"x")
        held.append(source.is_held)
        reading = asyncio.ensure_future(body.read(1 << 20))
        await asyncio.sleep(0)
        assert [*held, source.is_held] == [False, True, False]
        assert source.wanted == 1
        body.arrive(b"x" * HIGH_WATER_BYTES)
        body.finish()
        assert len(await reading) == 2 * HIGH_WATER_BYTES + 1

    asyncio.run(scenario())


def test_a_break_is_told_to_the_reader_and_the_first_one_stays() -> None:
    async def scenario() -> None:
        body = Plain(Source(), None)
        reading = asyncio.ensure_future(body.read(10))
        await asyncio.sleep(0)
        body.fail(KeyError("first"))
        body.fail(IndexError("second"))
        with pytest.raises(KeyError):
            await reading
        with pytest.raises(KeyError):
            [chunk async for chunk in body.chunks()]

    asyncio.run(scenario())


def test_a_break_after_the_end_is_nothing() -> None:
    async def scenario() -> None:
        body = Plain(Source(), None)
        body.arrive(b"abc")
        body.finish()
        body.fail(KeyError())
        assert await body.read(10) == b"abc"

    asyncio.run(scenario())


def test_a_body_that_came_whole_before_it_was_read_holds_nobody() -> None:
    source = Source()
    body = Plain(source, None)
    large = b"x" * (HIGH_WATER_BYTES + 1)
    body.arrive(large)
    body.finish()
    assert not source.is_held
    assert asyncio.run(body.read(len(large))) == large
