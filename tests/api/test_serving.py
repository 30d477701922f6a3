import asyncio
import os
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import trustme
import uvloop
from tests.api.plane import Plane

from ringfence.api import local
from ringfence.api.serving import ControlServer, Endpoint
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Role

ANY_PORT = Endpoint(host="127.0.0.1", port=0)

Run = Callable[[Coroutine[object, object, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = uvloop.new_event_loop if request.param == "uvloop" else None

    def runner(main: Coroutine[object, object, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as each:
            each.run(main)

    return runner


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, host: str
) -> bytes:
    writer.write(f"{head}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def ask_local(folder: Path, head: str) -> bytes:
    return await ask(*await asyncio.open_unix_connection(local.address(folder)), head, "plane")


async def ask_network(port: int, head: str) -> bytes:
    host = f"127.0.0.1:{port}"
    return await ask(*await asyncio.open_connection("127.0.0.1", port), head, host)


def test_the_operator_and_a_keyholder_are_both_served(
    plane: Plane, tmp_path: Path, run: Run
) -> None:
    key = plane.key(Role.VIEWER)

    async def main() -> None:
        server = ControlServer(plane.app, ANY_PORT, tmp_path)
        await server.start()
        by_socket = await ask_local(tmp_path, "POST /api/v1/agents/triage/suspend HTTP/1.1")
        assert by_socket.startswith(b"HTTP/1.1 200 ")
        head = "GET /api/v1/agents HTTP/1.1"
        with_key = await ask_network(server.port, f"{head}\r\nAuthorization: Bearer {key}")
        assert with_key.startswith(b"HTTP/1.1 200 ")
        without = await ask_network(server.port, head)
        assert without.startswith(b"HTTP/1.1 401 ")
        await server.stop()

    run(main())
    assert plane.notes[0].actor == f"cli:uid={os.geteuid()}"
    assert not (tmp_path / local.FILE).exists()


def test_another_user_of_the_machine_gets_no_answer(plane: Plane, tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        somebody_else = frozenset({os.geteuid() + 1})
        server = ControlServer(plane.app, ANY_PORT, tmp_path, operators=somebody_else)
        await server.start()
        try:
            answer = await ask_local(tmp_path, "GET /healthz HTTP/1.1")
        except ConnectionError:
            answer = b""
        assert answer == b""
        await server.stop()

    run(main())


def test_a_taken_port_is_reported_and_nothing_stays_open(plane: Plane, tmp_path: Path) -> None:
    async def main() -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            endpoint = Endpoint(host="127.0.0.1", port=other.getsockname()[1])
            with pytest.raises(UsageError) as caught:
                await ControlServer(plane.app, endpoint, tmp_path).start()
        assert caught.value.code == "port_taken"
        assert "--console-port" in caught.value.help
        assert not (tmp_path / local.FILE).exists()

    asyncio.run(main())


def test_an_address_of_another_machine_is_reported(plane: Plane, tmp_path: Path) -> None:
    async def main() -> None:
        endpoint = Endpoint(host="192.0.2.1", port=0)
        with pytest.raises(UsageError) as caught:
            await ControlServer(plane.app, endpoint, tmp_path).start()
        assert caught.value.code == "host_unusable"

    asyncio.run(main())


def test_two_planes_do_not_share_a_data_folder(plane: Plane, tmp_path: Path) -> None:
    async def main() -> None:
        first = ControlServer(plane.app, ANY_PORT, tmp_path)
        await first.start()
        with pytest.raises(UsageError) as caught:
            await ControlServer(plane.app, ANY_PORT, tmp_path).start()
        assert caught.value.code == "plane_running"
        assert (await ask_local(tmp_path, "GET /healthz HTTP/1.1")).startswith(b"HTTP/1.1 200 ")
        await first.stop()

    asyncio.run(main())


def test_signal_handlers_are_left_alone(plane: Plane, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    async def main() -> None:
        server = ControlServer(plane.app, ANY_PORT, tmp_path)
        during_run = signal.getsignal(signal.SIGINT)
        await server.start()
        assert signal.getsignal(signal.SIGTERM) == before[0]
        assert signal.getsignal(signal.SIGINT) == during_run
        await server.stop()

    asyncio.run(main())


def test_with_a_certificate_the_port_speaks_tls_only(plane: Plane, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)

    async def main() -> None:
        endpoint = Endpoint(host="127.0.0.1", port=0, tls=context)
        server = ControlServer(plane.app, endpoint, tmp_path)
        await server.start()
        streams = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=trust, server_hostname="localhost"
        )
        origin = f"Origin: https://localhost:{server.port}"
        head = f"GET /api/v1/agents HTTP/1.1\r\n{origin}"
        answer = await ask(*streams, head, f"localhost:{server.port}")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"credential_missing" in answer
        assert not (await ask_network(server.port, "GET /healthz HTTP/1.1")).startswith(b"HTTP")
        await server.stop()

    asyncio.run(main())


def test_a_configured_name_is_answered_with_its_port(plane: Plane, tmp_path: Path) -> None:
    async def main() -> None:
        hosts = frozenset({"plane.example", "Outside.example:9000", "2001:db8::1"})
        server = ControlServer(plane.app, Endpoint(host="127.0.0.1", port=0, hosts=hosts), tmp_path)
        await server.start()
        asked = {
            f"plane.example:{server.port}": True,
            "outside.example:9000": True,
            f"[2001:db8::1]:{server.port}": True,
            "plane.example": False,
            "plane.example:9000": False,
        }
        for host, is_ours in asked.items():
            streams = await asyncio.open_connection("127.0.0.1", server.port)
            answer = await ask(*streams, "GET /api/v1/agents HTTP/1.1", host)
            assert (b"credential_missing" in answer) is is_ours, host
        await server.stop()

    asyncio.run(main())
