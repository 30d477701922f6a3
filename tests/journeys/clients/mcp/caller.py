"""The MCP SDK's two clients (a session with a handshake, and the newer one without) and FastMCP's.

They have no model: the prompt is taken at its word, and what the tools said is what is said.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from calls import BEARER, SERVER_URL, calls, drive
from fastmcp import Client as FastClient
from fastmcp.client.transports import StreamableHttpTransport
from journey import MODE
from mcp import Client, ClientSession
from mcp.client.streamable_http import streamable_http_client


@asynccontextmanager
async def session() -> AsyncIterator:
    async with httpx2.AsyncClient(headers=BEARER, timeout=httpx2.Timeout(30, read=300)) as http:
        if MODE == "client":
            async with Client(streamable_http_client(SERVER_URL, http_client=http)) as found:
                yield found
            return
        async with (
            streamable_http_client(SERVER_URL, http_client=http) as (read, write),
            ClientSession(read, write) as found,
        ):
            await found.initialize()
            yield found


def told(result: object) -> str:
    """What a model would be told: every text, marked if it is an error."""
    text = "\n".join(part.text for part in result.content if part.type == "text")
    return f"(error) {text}" if result.is_error else text


async def ask_sdk(prompt: str) -> str:
    async with session() as found:
        return "\n".join(
            [told(await found.call_tool(call.name, call.arguments)) for call in calls(prompt)]
        )


async def list_sdk() -> list[str]:
    async with session() as found:
        return [tool.name for tool in (await found.list_tools()).tools]


def fast() -> FastClient:
    return FastClient(StreamableHttpTransport(SERVER_URL, headers=BEARER))


async def ask_fast(prompt: str) -> str:
    async with fast() as found:
        return "\n".join(
            [
                told(await found.call_tool(call.name, call.arguments, raise_on_error=False))
                for call in calls(prompt)
            ]
        )


async def list_fast() -> list[str]:
    async with fast() as found:
        return [tool.name for tool in await found.list_tools()]


ASK, LIST = (ask_fast, list_fast) if MODE == "fastmcp" else (ask_sdk, list_sdk)
drive(lambda prompt: asyncio.run(ASK(prompt)), lambda: asyncio.run(LIST()))
