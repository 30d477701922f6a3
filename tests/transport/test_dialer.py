import asyncio
import socket

import pytest

from ringfence.domain.error import UnavailableError, UnsentError
from ringfence.transport.deadline import Sweeper
from ringfence.transport.dialer import Dialer
from ringfence.transport.http import Origin
from ringfence.transport.limits import ClientLimits
from ringfence.transport.resolver import Resolver
from ringfence.transport.upstream import UpstreamConnection


class Keeper:
    """A pool that keeps nothing."""

    def free(self, line: UpstreamConnection) -> None: ...

    def lost(self, line: UpstreamConnection) -> None: ...


def test_addresses_are_tried_in_order_and_forgotten_when_all_fail() -> None:
    asked: list[str] = []

    async def lookup(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2", "127.0.0.1"]

    async def scenario() -> None:
        sweeper = Sweeper(asyncio.get_running_loop())
        dialer = Dialer(Resolver(30, lookup), None)

        def make() -> UpstreamConnection:
            return UpstreamConnection(ClientLimits(), sweeper, Keeper())

        with socket.create_server(("127.0.0.1", 0)) as listener:
            origin = Origin(scheme="http", host="a.example", port=listener.getsockname()[1])
            line = await dialer.open(origin, make, 5)
            assert line.is_usable(ask_kernel=True)
            line.give_up()
            await asyncio.sleep(0)
        assert len(asked) == 1
        for count in (1, 2):  # the first failure still knows the addresses
            with pytest.raises(UnavailableError) as caught:
                await dialer.open(origin, make, 5)
            assert (caught.value.code, type(caught.value)) == ("provider_unavailable", UnsentError)
            assert len(asked) == count

    asyncio.run(scenario())
