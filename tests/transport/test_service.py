import asyncio

import pytest

from ringfence.transport.deadline import Sweeper
from ringfence.transport.http import Request, Response
from ringfence.transport.limits import ServerLimits
from ringfence.transport.server import render_json
from ringfence.transport.service import Service


class Idle:
    """A connection on which nothing goes on."""

    deadline = 0.0

    def expire(self) -> None: ...

    def drain(self) -> None: ...

    def cut(self) -> None: ...


async def no_handler(_request: Request, _response: Response) -> None:
    raise AssertionError


@pytest.mark.parametrize("is_draining", [False, True])
def test_a_draining_server_is_empty_when_the_last_one_has_left(*, is_draining: bool) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        service = Service(
            handle=no_handler,
            render_refusal=render_json,
            on_error=lambda _request, _error: None,
            limits=ServerLimits(),
            loop=loop,
            sweeper=Sweeper(loop),
        )
        service.is_draining = is_draining
        one, two = Idle(), Idle()
        service.connections.update((one, two))
        task = service.start(asyncio.sleep(0))
        service.left(one)
        service.left(two)
        assert not service.emptied.is_set()
        await task
        service.ended(task)
        assert service.emptied.is_set() is is_draining

    asyncio.run(scenario())
