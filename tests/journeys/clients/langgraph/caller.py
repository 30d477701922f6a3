"""LangGraph with langchain-mcp-adapters: tools by themselves, or in one session of the run."""

import asyncio

from calls import BEARER, SERVER, SERVER_URL, drive
from journey import MODE, MODEL, TOKEN, URL
from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from langchain_openai import ChatOpenAI

LLM = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=TOKEN, use_responses_api=False)
SERVERS = {SERVER: {"transport": "http", "url": SERVER_URL, "headers": BEARER}}


async def said(prompt: str) -> str:
    client = MultiServerMCPClient(SERVERS)
    if MODE == "session":
        async with client.session(SERVER) as session:
            return await run(prompt, await load_mcp_tools(session))
    return await run(prompt, await client.get_tools())


async def run(prompt: str, tools: list) -> str:
    agent = create_agent(LLM, tools)
    state = await agent.ainvoke({"messages": [{"role": "user", "content": prompt}]})
    return state["messages"][-1].text


drive(lambda prompt: asyncio.run(said(prompt)))
