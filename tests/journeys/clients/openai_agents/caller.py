"""The OpenAI Agents SDK with one MCP server; it waits 5 s for a tool unless told otherwise."""

import asyncio

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from calls import BEARER, LONGEST_S, SERVER_URL, drive
from journey import MODE, MODEL, TOKEN, URL
from openai import AsyncOpenAI

set_tracing_disabled(disabled=True)
PATIENCE = {"client_session_timeout_seconds": LONGEST_S} if MODE == "patient" else {}


async def said(prompt: str) -> str:
    params = {"url": SERVER_URL, "headers": BEARER}
    model = OpenAIChatCompletionsModel(
        model=MODEL, openai_client=AsyncOpenAI(base_url=f"{URL}/v1", api_key=TOKEN)
    )
    async with MCPServerStreamableHttp(params, **PATIENCE) as server:
        agent = Agent(name="caller", model=model, mcp_servers=[server])
        return (await Runner.run(agent, prompt)).final_output


drive(lambda prompt: asyncio.run(said(prompt)))
