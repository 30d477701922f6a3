import asyncio

import pytest

from ringfence.transport.client import Pool
from ringfence.transport.http import Request, Response
from ringfence.transport.posting import Posting
from ringfence.transport.server import Server


def post(status: int, path: str = "/", token: str = "") -> tuple[str, list[tuple[bytes, ...]]]:
    """What posting to a real server says, and what the server saw."""
    seen: list[tuple[bytes, ...]] = []

    async def handle(request: Request, response: Response) -> None:
        body = await request.read(1000)
        names = (b"host", b"content-type", b"authorization")
        seen.append((request.path, request.query, body, *(request.header(n) or b"" for n in names)))
        response.send(status, [], b"")

    async def story() -> str:
        server, pool = Server(handle), Pool()
        port = await server.listen("127.0.0.1", 0)
        try:
            posting = Posting(pool, f"http://ada:hush@127.0.0.1:{port}{path}")
            return await posting.send(b"{}", b"application/json", token)
        finally:
            await pool.close()
            await server.close()

    return asyncio.run(story()), seen


def test_a_document_is_posted_as_it_is() -> None:
    why, [(path, query, body, host, kind, authorization)] = post(202, "/a/b?c=d", token="t")
    assert why == ""
    assert (path, query, body) == (b"/a/b", b"c=d", b"{}")
    assert host.startswith(b"127.0.0.1:")
    assert (kind, authorization) == (b"application/json", b"Bearer t")


def test_without_a_token_none_is_sent() -> None:
    _, [(*_, authorization)] = post(204)
    assert authorization == b""


@pytest.mark.parametrize("status", [301, 404, 500])
def test_whatever_is_no_success_is_said(status: int) -> None:
    assert post(status)[0] == f"status {status}"


def test_nobody_there_is_said() -> None:
    async def story() -> str:
        pool = Pool()
        try:
            return await Posting(pool, "http://127.0.0.1:9/").send(b"", b"text/plain")
        finally:
            await pool.close()

    assert asyncio.run(story()) == "provider_unavailable"
