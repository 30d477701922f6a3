import asyncio
import socket
from pathlib import Path

import pytest

from ringfence.app.data_port import DataPort, reserve, tls_of
from ringfence.app.group import Place
from ringfence.domain.error import UsageError
from ringfence.transport.http import Request, Response

LOOPBACK = Place(host="127.0.0.1", port=0)


async def hello(_: Request, response: Response) -> None:
    response.send(200, (), b"hello")


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def at(port: int) -> Place:
    return Place(host="127.0.0.1", port=port)


def test_it_serves_and_drains() -> None:
    async def story() -> None:
        port = DataPort(hello)
        number = await port.listen(LOOPBACK)
        assert (await ask(number)).endswith(b"hello")
        await port.drain(5, asyncio.Event())
        assert port.connections == 0
        with pytest.raises(ConnectionRefusedError):
            await ask(number)

    asyncio.run(story())


def test_who_is_in_a_hurry_does_not_wait_for_the_grace() -> None:
    async def story() -> None:
        begun = asyncio.Event()

        async def never(_: Request, response: Response) -> None:
            response.start(200, ())
            begun.set()
            await asyncio.Event().wait()

        port = DataPort(never)
        asking = asyncio.create_task(ask(await port.listen(LOOPBACK)))
        await begun.wait()
        hurry = asyncio.Event()
        draining = asyncio.create_task(port.drain(60, hurry))
        await asyncio.sleep(0.01)
        assert not draining.done()
        hurry.set()
        async with asyncio.timeout(60):
            await draining
        await asking

    asyncio.run(story())


def test_a_reserved_port_is_shared_by_workers_and_by_nobody_else() -> None:
    async def story() -> None:
        held = reserve(LOOPBACK)
        place = at(held.getsockname()[1])
        ports = [DataPort(hello) for _ in range(3)]
        for port in ports:
            assert await port.listen(place, is_shared=True) == place.port
        assert (await ask(place.port)).endswith(b"hello")
        with pytest.raises(UsageError) as taken:
            reserve(place)
        assert taken.value.code == "port_taken"
        with pytest.raises(UsageError):
            await DataPort(hello).listen(place)
        for port in ports:
            await port.drain(1, asyncio.Event())
        held.close()

    asyncio.run(story())


def test_a_port_is_not_reserved_while_another_program_listens_there() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UsageError) as taken:
            reserve(at(other.getsockname()[1]))
    assert taken.value.code == "port_taken"


def test_a_port_that_was_reserved_is_free_again() -> None:
    held = reserve(LOOPBACK)
    place = at(held.getsockname()[1])
    held.close()
    reserve(place).close()


def test_a_certificate_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert tls_of(LOOPBACK) is None
    missing = str(tmp_path / "none.pem")
    with pytest.raises(UsageError):
        tls_of(Place(host="127.0.0.1", port=0, tls_cert=missing, tls_key=missing))
