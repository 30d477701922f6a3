"""Pydantic AI with one MCP server."""

import asyncio

from calls import BEARER, SERVER_URL, drive
from journey import MODEL, TOKEN, URL
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.mcp import MCPToolset


async def said(prompt: str) -> str:
    provider = OpenAIProvider(base_url=f"{URL}/v1", api_key=TOKEN)
    tools = MCPToolset(SERVER_URL, headers=BEARER)
    agent = Agent(OpenAIChatModel(MODEL, provider=provider), toolsets=[tools])
    async with agent:
        return (await agent.run(prompt)).output


drive(lambda prompt: asyncio.run(said(prompt)))
