"""Tunnels: what comes in goes out, in order, with back-pressure, and both ends end together."""

import asyncio
from collections.abc import Callable
from typing import cast

from ringfence.testing.wire import ManualTransport
from ringfence.transport.deadline import Sweeper
from ringfence.transport.tunnel import Side, Tunnel


class Ends:
    """A tunnel between two connections that a test holds."""

    def __init__(
        self, passed: Callable[[Side, bytes], bytes | None] = lambda _side, data: data
    ) -> None:
        self.client = ManualTransport(asyncio.Protocol())
        self.upstream = ManualTransport(asyncio.Protocol())
        self.over = 0
        self.tunnel = Tunnel(
            self.client,
            self.upstream,
            sweeper=Sweeper(asyncio.get_running_loop(), 0.02),
            idle_s=0.05,
            passed=passed,
            over=self._count,
        )

    def _count(self, _tunnel: Tunnel) -> None:
        self.over += 1


async def both_ways() -> None:
    ends = Ends()
    ends.tunnel.begin(b"early", b"late")
    ends.client.feed(b" one")
    ends.upstream.feed(b" two")
    assert ends.upstream.written == b"early one"
    assert ends.client.written == b"late two"
    assert (ends.tunnel.client.bytes, ends.tunnel.upstream.bytes) == (9, 8)
    ends.client.lose()
    assert ends.upstream.is_closing()
    assert ends.over == 1
    ends.upstream.lose()
    assert ends.over == 1


def test_bytes_pass_both_ways_and_both_ends_end_together() -> None:
    asyncio.run(both_ways())


async def slow() -> None:
    ends = Ends()
    ends.tunnel.begin()
    cast("Side", ends.client.protocol).pause_writing()
    assert not ends.upstream.is_reading_now
    assert ends.client.is_reading_now
    cast("Side", ends.client.protocol).resume_writing()
    assert ends.upstream.is_reading_now


def test_who_takes_slowly_is_not_flooded() -> None:
    asyncio.run(slow())


async def cut() -> None:
    ends = Ends(lambda _side, data: None if b"secret" in data else data.upper())
    ends.tunnel.begin()
    ends.client.feed(b"fine")
    assert ends.upstream.written == b"FINE"
    ends.client.feed(b"a secret")
    assert ends.upstream.written == b"FINE"
    assert ends.client.is_closing()
    assert ends.upstream.is_closing()
    assert ends.over == 1


def test_what_must_not_pass_cuts_the_tunnel() -> None:
    asyncio.run(cut())


async def silent() -> None:
    ends = Ends()
    ends.tunnel.begin()
    await asyncio.sleep(0.2)
    assert ends.over == 1
    assert ends.client.is_closing()


def test_a_silent_tunnel_ends() -> None:
    asyncio.run(silent())


async def left_before() -> None:
    ends = Ends()
    ends.client.close()
    ends.tunnel.begin()
    assert ends.over == 1
    assert ends.upstream.is_closing()


def test_a_tunnel_to_who_has_left_does_not_begin() -> None:
    asyncio.run(left_before())
