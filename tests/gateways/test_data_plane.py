import asyncio
import logging
from collections.abc import Coroutine

import msgspec
import pytest
from tests.gateways.world import World, chat, code_of

from ringfence.enforcement.directory import Directory
from ringfence.enforcement.refusal import Refusals
from ringfence.gateways.data_plane import DataPlane
from ringfence.testing.http import MemoryRequest, MemoryResponse


def _planted(*_: object, **__: object) -> object:
    raise ZeroDivisionError("planted")


def test_readiness_is_told_without_a_credential() -> None:
    async def story() -> None:
        world = World()
        world.trouble = "the ledger cannot be written"
        ready = await world.ask("/readyz", b"", method="GET", token=None)
        assert ready.status == 503
        assert b"the ledger cannot be written" in ready.body
        assert (await world.ask("/healthz", b"", method="GET", token=None)).status == 200

    asyncio.run(story())


@pytest.mark.parametrize("place", [(Directory, "identify"), (Refusals, "refuse")])
def test_a_fault_before_anybody_is_known_denies_too(
    place: tuple[type, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        world = World()
        monkeypatch.setattr(*place, _planted)
        response = await world.ask(body=b"{")
        assert (response.status, code_of(response)) == (500, "internal")
        assert world.providers.sent == []

    with caplog.at_level(logging.CRITICAL):
        asyncio.run(story())


def test_a_client_that_leaves_while_it_asks_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    class Leaving(MemoryRequest):
        async def read(self, limit_bytes: int) -> bytes:
            raise ConnectionResetError(limit_bytes)

    async def story() -> None:
        world = World()
        headers = [(b"authorization", b"Bearer rf_agt_triage"), (b"content-length", b"9")]
        response = MemoryResponse()
        plane: DataPlane = world.worker.data_plane
        asked = Leaving("POST", "/v1/chat/completions", headers=headers)
        asked.is_late = True
        going = plane.handle(asked, response)
        assert isinstance(going, Coroutine)
        await going
        assert response.is_aborted
        assert world.ledger.events == []

    asyncio.run(story())
    assert not caplog.records


def test_a_prefix_says_what_the_header_says() -> None:
    async def story() -> None:
        world = World()
        headers = {"ringfence-invocation": "run-1"}
        first = await world.ask(headers=headers)
        second = await world.ask("/invocation/run-1/v1/chat/completions", chat("another"))
        other = await world.ask("/invocation/run-2/v1/chat/completions", chat("another"))
        name = b"ringfence-invocation"
        assert first.headers[name] == second.headers[name] != other.headers[name]
        listed = await world.ask("/invocation/run-1/v1/models", b"", method="GET")
        assert [each["id"] for each in msgspec.json.decode(listed.body)["data"]]

    asyncio.run(story())
