import asyncio

import pytest

from ringfence.domain.error import PeerError
from ringfence.testing.http import MemoryRequest, MemoryResponse
from ringfence.transport.http import Request, Response


def serve(request: Request, response: Response) -> None:
    response.send(200, request.headers, request.method)


def test_a_request_and_a_response_have_the_shape_of_the_engine() -> None:
    response = MemoryResponse()
    serve(MemoryRequest("GET", "/"), response)
    assert response.body == b"GET"


def test_a_target_is_cut_at_its_query() -> None:
    request = MemoryRequest("GET", "/a/b?c=d")
    assert (request.path, request.query) == (b"/a/b", b"c=d")


def test_a_repeated_header_is_malformed() -> None:
    request = MemoryRequest("GET", "/", headers=[(b"a", b"1"), (b"a", b"2"), (b"b", b"3")])
    assert request.header(b"b") == b"3"
    assert request.header(b"c") is None
    with pytest.raises(PeerError, match="occurs twice"):
        request.header(b"a")


def test_a_body_over_the_limit_is_refused() -> None:
    with pytest.raises(PeerError) as caught:
        asyncio.run(MemoryRequest("POST", "/", body=b"four").read(3))
    assert caught.value.code == "request_too_large"


def test_a_body_can_be_taken_in_pieces() -> None:
    async def take() -> bytes:
        return b"".join([piece async for piece in MemoryRequest("POST", "/", body=b"x").chunks()])

    assert asyncio.run(take()) == b"x"


def test_a_client_that_leaves_is_told_of_and_stops_the_writer() -> None:
    response = MemoryResponse()
    told: list[str] = []
    response.on_disconnect(lambda: told.append("gone"))
    response.leave()
    assert told == ["gone"]
    with pytest.raises(ConnectionError):
        asyncio.run(response.drain())


def test_what_is_sent_is_kept() -> None:
    response = MemoryResponse()
    response.on_pause(lambda: None, lambda: None)
    response.send(200, [(b"x", b"y")], b"body")
    assert (response.status, response.body, response.is_ended) == (200, b"body", True)
    assert response.headers == {b"x": b"y", b"content-length": b"4"}
