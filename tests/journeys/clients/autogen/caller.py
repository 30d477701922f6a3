"""AutoGen with a workbench of one MCP server."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.tools.mcp import McpWorkbench, StreamableHttpServerParams
from calls import BEARER, SERVER_URL, drive
from journey import MODEL, TOKEN, URL

INFO = {
    "vision": False,
    "function_calling": True,
    "json_output": False,
    "structured_output": False,
    "family": "unknown",
}
ITERATIONS = 8
"""How often it asks its model again after tools; 1 unless said."""


async def said(prompt: str) -> str:
    model = OpenAIChatCompletionClient(
        model=MODEL, base_url=f"{URL}/v1", api_key=TOKEN, model_info=INFO
    )
    params = StreamableHttpServerParams(url=SERVER_URL, headers=BEARER)
    async with McpWorkbench(params) as workbench:
        agent = AssistantAgent("caller", model, workbench=workbench, max_tool_iterations=ITERATIONS)
        return (await agent.run(task=prompt)).messages[-1].content


drive(lambda prompt: asyncio.run(said(prompt)))
