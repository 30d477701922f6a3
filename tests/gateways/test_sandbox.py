import asyncio
import contextlib
import http.client
import select
import socket
import time
from contextlib import closing

import pytest
from tests.enforcement.test_sandbox_registry import Yard
from tests.gateways.world import agent

from ringfence.domain.agent import SandboxTier
from ringfence.domain.sandbox import ListenerKind, SandboxGrant
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.gateways.sandbox import CONNECTIONS, GatewayDoor


def get(port: int, token: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {token}"})
        return connection.getresponse().status


def announced(box: LiveSandbox, port: int, token: str) -> int:
    """The same on a connection whose port is announced before it is made."""
    with closing(socket.socket()) as own:
        own.bind(("127.0.0.1", 0))
        box.announce(own.getsockname()[1])
        own.connect(("127.0.0.1", port))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.sock = own
        connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {token}"})
        return connection.getresponse().status


async def opened(yard: Yard, **more: object) -> tuple[SandboxGrant, LiveSandbox]:
    grant = await yard.open(**more)
    return grant, await yard.join(grant)


def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_the_data_plane_answers_on_the_sandboxs_own_listener_until_it_is_stopped() -> None:
    async def story() -> None:
        yard = Yard()
        door = GatewayDoor(yard.world.worker.data_plane)
        grant, box = await opened(yard)
        other, _ = await opened(yard)
        own, foreign = listener(), listener()
        port = own.getsockname()[1]
        pairs = ((ListenerKind.GATEWAY, own), (ListenerKind.PROXY, foreign))
        await door.serve(box, pairs)
        assert await asyncio.to_thread(get, port, grant.token) == 200
        assert await asyncio.to_thread(get, port, other.token) == 401
        assert await asyncio.to_thread(get, port, "rf_agt_triage") == 401
        [refused] = yard.world.ledger.refusals  # of two, the other is counted
        assert (refused.sandbox, refused.invocation) == (box.id, box.sandbox.invocation)
        await door.stop(box)
        with pytest.raises(OSError, match=r"refused|reset"):
            await asyncio.to_thread(get, port, grant.token)
        await door.stop(box)
        assert foreign.fileno() > 0
        foreign.close()

    asyncio.run(story())


def test_stopping_one_sandbox_cuts_no_other() -> None:
    async def story() -> None:
        yard = Yard()
        door = GatewayDoor(yard.world.worker.data_plane)
        (one, first), (other, second) = await opened(yard), await opened(yard)
        ends = [listener(), listener()]
        ports = [each.getsockname()[1] for each in ends]
        await door.serve(first, ((ListenerKind.GATEWAY, ends[0]),))
        await door.serve(second, ((ListenerKind.GATEWAY, ends[1]),))
        await door.stop(first)
        assert await asyncio.to_thread(get, ports[1], other.token) == 200
        assert one.id != other.id
        await door.stop(second)

    asyncio.run(story())


def test_in_the_reduced_tier_only_announced_connections_are_heard() -> None:
    async def story() -> None:
        yard = Yard(agent(sandbox=SandboxTier.REDUCED))
        door = GatewayDoor(yard.world.worker.data_plane)
        grant, box = await opened(yard, tier=SandboxTier.REDUCED)
        own = listener()
        port = own.getsockname()[1]
        await door.serve(box, ((ListenerKind.GATEWAY, own),))
        with pytest.raises((OSError, http.client.HTTPException)):
            await asyncio.to_thread(get, port, grant.token)
        assert await asyncio.to_thread(announced, box, port, grant.token) == 200
        await door.stop(box)

    asyncio.run(story())


def say(port: int, data: bytes) -> bytes:
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as connection:
        connection.sendall(data)
        return connection.recv(4096)


def test_what_the_engine_refuses_on_a_sandboxs_listener_is_on_the_record_of_its_run() -> None:
    async def story() -> None:
        yard = Yard()
        door = GatewayDoor(yard.world.worker.data_plane)
        _, box = await opened(yard)
        own = listener()
        port = own.getsockname()[1]
        await door.serve(box, ((ListenerKind.GATEWAY, own),))
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        answer = await asyncio.to_thread(say, port, preface)
        assert answer.startswith(b"HTTP/1.1 505 ")
        [refused] = yard.world.ledger.refusals
        assert (refused.sandbox, refused.invocation) == (box.id, box.sandbox.invocation)
        assert "what is spoken here is HTTP/1.1" in refused.decision.message
        await door.stop(box)

    asyncio.run(story())


def test_a_sandbox_that_opens_connections_without_end_takes_nobody_elses() -> None:
    async def story() -> None:
        yard = Yard()
        door = GatewayDoor(yard.world.worker.data_plane)
        (_, box), (grant, other) = await opened(yard), await opened(yard)
        own, foreign = listener(), listener()
        await door.serve(box, ((ListenerKind.GATEWAY, own),))
        await door.serve(other, ((ListenerKind.GATEWAY, foreign),))
        port = own.getsockname()[1]
        with contextlib.ExitStack() as held:
            cut = await asyncio.to_thread(crowd, port, held)
            assert cut == 5
            port = foreign.getsockname()[1]
            assert await asyncio.to_thread(get, port, grant.token) == 200
        await door.stop(box)
        await door.stop(other)

    asyncio.run(story())


def crowd(port: int, held: contextlib.ExitStack) -> int:
    """Open more connections than there may be; how many of them were closed at once."""
    made = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(CONNECTIONS + 5)]
    for each in made:
        held.enter_context(each)
    poll = select.poll()
    for each in made:
        poll.register(each, select.POLLIN)
    ends = time.monotonic() + 60
    while len(closed := poll.poll(50)) < 5:
        assert time.monotonic() < ends
    return len(closed)
