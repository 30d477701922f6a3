import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.authorization import Guarded, guarded

from ringfence.domain.error import PeerError, UnavailableError, UsageError
from ringfence.domain.tool import OAuthClient
from ringfence.enforcement.authorization_server import AuthorizationServers
from ringfence.protocols.oauth import Issuer
from ringfence.transport.client import Pool

BACK = "http://127.0.0.1:9/callback"


def run(story: Callable[[Guarded, AuthorizationServers], Awaitable[None]], **more: Any) -> None:  # noqa: ANN401
    """Tell a story beside a tool server; `more` is what its metadata say instead."""

    async def told() -> None:
        async with guarded(**more) as there:
            pool = Pool()
            try:
                await story(there, AuthorizationServers(pool, lambda name: f"value of {name}"))
            finally:
                await pool.close()

    asyncio.run(told())


async def named(servers: AuthorizationServers, url: str) -> Issuer:
    """Who gives out tokens for a tool server, as both say."""
    resource = await servers.resource(url)
    return await servers.issuer(resource.authorization_servers[0], url)


def test_a_tool_server_names_who_gives_out_tokens_and_they_name_us() -> None:
    async def story(there: Guarded, servers: AuthorizationServers) -> None:
        issuer = await named(servers, f"{there.url}/mcp")
        assert issuer.issuer == there.url
        client = OAuthClient(is_by_person=True)
        assert await servers.as_client(client, issuer, BACK) == ("dynamic-1", "")
        (registered,) = there.registered
        assert registered["redirect_uris"] == [BACK]

    run(story)


def test_a_client_that_is_configured_is_not_registered() -> None:
    async def story(there: Guarded, servers: AuthorizationServers) -> None:
        issuer = await servers.issuer(there.url, f"{there.url}/mcp")
        client = OAuthClient(client="us", secret="crm", is_by_person=True)
        assert await servers.as_client(client, issuer, BACK) == ("us", "value of crm")
        assert there.registered == []

    run(story)


def test_where_nobody_can_register_a_client_must_be_named() -> None:
    async def story(there: Guarded, servers: AuthorizationServers) -> None:
        issuer = await servers.issuer(there.url, f"{there.url}/mcp")
        with pytest.raises(UsageError, match="register themselves"):
            await servers.as_client(OAuthClient(is_by_person=True), issuer, BACK)

    run(story, issuer={"registration_endpoint": ""})


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"resource": {"resource": "https://other.example/mcp"}}, "not of it"),
        ({"resource": {"authorization_servers": []}}, "nobody who gives out tokens"),
        ({"resource": {"authorization_servers": ["http://evil.example"]}}, "not gone to"),
        ({"issuer": {"issuer": "https://other.example"}}, "those of another"),
        ({"issuer": {"code_challenge_methods_supported": ["plain"]}}, "PKCE"),
        ({"issuer": {"token_endpoint": "file:///etc/passwd"}}, "not gone to"),
    ],
    ids=str,
)
def test_metadata_that_cannot_be_trusted_end_it(more: dict[str, Any], told: str) -> None:
    async def story(there: Guarded, servers: AuthorizationServers) -> None:
        with pytest.raises(PeerError, match=told):
            await named(servers, f"{there.url}/mcp")

    run(story, **more)


def test_a_tool_server_that_says_nothing_or_is_not_there_is_reported() -> None:
    async def story(there: Guarded, servers: AuthorizationServers) -> None:
        with pytest.raises(PeerError, match="no metadata"):
            await servers.issuer(f"{there.url}/other", f"{there.url}/mcp")
        with pytest.raises(UnavailableError):
            await servers.resource("http://127.0.0.1:1/mcp")

    run(story)
