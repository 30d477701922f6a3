"""Datagrams to any address, answered from the address that was asked."""

import asyncio
import socket
from typing import Any

import pytest
from tests.transport.conftest import Run

from ringfence.transport.datagram import Datagrams, Reply, is_own


@pytest.mark.parametrize(
    ("family", "wild", "asked"),
    [
        (socket.AF_INET, "0.0.0.0", "127.0.0.1"),  # noqa: S104 (a socket of a test)
        (socket.AF_INET, "0.0.0.0", "127.8.8.8"),  # noqa: S104 (likewise)
        (socket.AF_INET6, "::", "::1"),
    ],
)
def test_an_answer_comes_from_where_the_question_went(
    run: Run[Any], family: socket.AddressFamily, wild: str, asked: str
) -> None:
    async def talk() -> None:
        loop = asyncio.get_running_loop()
        listener = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((wild, 0))
        port = listener.getsockname()[1]
        peers: list[int] = []

        def take(data: bytes, peer: int, reply: Reply) -> None:
            peers.append(peer)
            reply(data.upper())

        datagrams = Datagrams(listener, take)
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(0)
            client.connect((asked, port))  # takes answers from there alone
            client.send(b"hello")
            async with asyncio.timeout(60):
                assert await loop.sock_recv(client, 100) == b"HELLO"
            assert peers == [client.getsockname()[1]]
        datagrams.close()
        datagrams.close()

    run(talk())


def test_own_addresses_are_known() -> None:
    assert is_own("127.0.0.1")
    assert is_own("::1")
    assert not is_own("192.0.2.1")
    assert not is_own("2001:db8::1")
