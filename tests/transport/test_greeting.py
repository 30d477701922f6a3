"""The first bytes of a connection."""

import asyncio

from ringfence.testing.wire import ManualTransport
from ringfence.transport.deadline import Sweeper
from ringfence.transport.greeting import GREETING_BYTES, Greeting
from ringfence.transport.limits import ServerLimits
from ringfence.transport.server import render_json
from ringfence.transport.service import Service


def serving(headers_s: float, connections: int = 10) -> Service:
    loop = asyncio.get_running_loop()
    return Service(
        handle=lambda _request, _response: None,
        render_refusal=render_json,
        on_error=lambda _request, _error: None,
        limits=ServerLimits(headers_s=headers_s, connections=connections),
        loop=loop,
        sweeper=Sweeper(loop, 0.02),
    )


async def greet(pieces: list[bytes], enough: int) -> tuple[list[bytes], ManualTransport]:
    seen: list[bytes] = []

    def decide(greeting: Greeting, data: bytes) -> None:
        seen.append(data)
        if len(data) >= enough:
            assert greeting.take() is transport

    greeting = Greeting(decide, serving(0.05))
    transport = ManualTransport(greeting)
    for piece in pieces:
        transport.feed(piece)
    await asyncio.sleep(0.15)
    return seen, transport


def test_everything_so_far_is_shown_until_it_is_enough() -> None:
    seen, transport = asyncio.run(greet([b"a", b"b", b"c", b"d"], enough=3))
    assert seen == [b"a", b"ab", b"abc"]
    assert not transport.is_closing()


def test_who_says_nothing_is_cut() -> None:
    seen, transport = asyncio.run(greet([], enough=1))
    assert seen == []
    assert transport.is_closing()


def test_who_never_comes_to_the_point_is_cut() -> None:
    seen, transport = asyncio.run(greet([bytes(GREETING_BYTES), b"x"], enough=GREETING_BYTES + 1))
    assert len(seen) == 1
    assert transport.is_closing()


def test_last_words_are_said() -> None:
    async def close() -> ManualTransport:
        greeting = Greeting(lambda greeting, _data: greeting.close(b"no"), serving(1.0))
        transport = ManualTransport(greeting)
        transport.feed(b"hello")
        return transport

    transport = asyncio.run(close())
    assert transport.written == b"no"
    assert transport.is_closing()


async def crowd() -> list[bool]:
    service = serving(1.0, connections=2)
    transports = [
        ManualTransport(Greeting(lambda _greeting, _data: None, service)) for _ in range(3)
    ]
    open_ = [not each.is_closing() for each in transports]
    for connection in tuple(service.connections):
        connection.cut()
    assert not service.connections
    return open_


def test_there_are_only_so_many_at_once_and_they_can_be_cut() -> None:
    assert asyncio.run(crowd()) == [True, True, False]
