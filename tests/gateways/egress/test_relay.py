"""Answers while they pass: only with authority, and whole or visibly not."""

import asyncio
from pathlib import Path

from tests.gateways.egress.outside import HOST, Outside, hear, plain
from tests.gateways.egress.test_traffic import tell

from ringfence.domain.event import Status


def test_an_answer_without_a_length_is_passed_on_in_pieces(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(b"3\r\ntwo\r\n0\r\nx-trailer: secret\r\n\r\n")
            await reader.read()

        place.host.talk = talk
        answer = await place.get()
        assert b"transfer-encoding: chunked" in answer
        assert answer.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        assert b"x-trailer" not in answer

    tell(tmp_path, story)


def test_an_answer_that_ends_with_its_connection_is_whole(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nto the end")
            await writer.drain()

        place.host.talk = talk
        assert (await place.get()).endswith(b"\r\nto the end\r\n0\r\n\r\n")
        await place.settled()
        assert place.world.ledger.outcomes[0].status is Status.OK

    tell(tmp_path, story)


def test_an_error_of_a_host_is_passed_on_and_recorded(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.host.answer = lambda _heard: plain(b"not here", b"404 Not Found")
        answer = await place.get()
        assert answer.startswith(b"HTTP/1.1 404 ")
        (outcome,) = place.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.UPSTREAM_ERROR, "http_404")

    tell(tmp_path, story)


def test_a_client_that_takes_slowly_holds_up_the_host(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        sent = 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await hear(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n")
            for _ in range(500):
                writer.write(bytes(100_000))
                await writer.drain()
                sent += 100_000

        place.host.talk = talk
        reader, writer = await place.tunnel(f"{HOST}:{place.port}")
        writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}:{place.port}\r\n\r\n".encode())
        await asyncio.sleep(0.5)
        assert sent < 30_000_000
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 50000000" in head
        async with asyncio.timeout(60):
            await reader.readexactly(50_000_000)
        writer.close()

    tell(tmp_path, story)
