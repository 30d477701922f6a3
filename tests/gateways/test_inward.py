import asyncio

import pytest

from ringfence.domain.error import PeerError
from ringfence.gateways.inward import PIECES_KEPT, InwardRequest, InwardResponse
from ringfence.testing.http import MemoryResponse


def test_a_request_shows_its_body_in_every_way() -> None:
    async def story() -> None:
        request = InwardRequest(b"/x", [(b"a", b"1"), (b"c", b"2"), (b"c", b"3")], b"body")
        assert (request.header(b"a"), request.header(b"b")) == (b"1", None)
        with pytest.raises(PeerError):
            request.header(b"c")
        assert request.whole(1) == await request.read(1) == b"body"
        assert [piece async for piece in request.chunks()] == [b"body"]

    asyncio.run(story())


def test_of_an_answer_in_pieces_the_end_is_kept() -> None:
    async def story() -> None:
        response = InwardResponse()
        response.start(200, [])
        for at in range(PIECES_KEPT + 1):
            response.write(b"%d," % at)
        assert not response.over.done()
        response.end()
        assert response.over.done()
        assert (response.status, response.body[:4]) == (200, b"1,2,")

    asyncio.run(story())


def test_an_answer_that_is_cut_is_none() -> None:
    async def story() -> None:
        response = InwardResponse()
        response.write(b"half")
        response.abort()
        assert (response.over.done(), response.body) == (True, b"")

    asyncio.run(story())


def test_an_answer_that_is_made_for_an_agent_s_ends_with_its_client() -> None:
    async def story() -> None:
        outer, left = MemoryResponse(), list[str]()
        inner = InwardResponse(outer)
        inner.on_disconnect(lambda: left.append("left"))
        assert not inner.is_disconnected
        outer.leave()
        assert (inner.is_disconnected, left) == (True, ["left"])

    asyncio.run(story())
