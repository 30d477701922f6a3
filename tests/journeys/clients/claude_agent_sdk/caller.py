"""The Claude Agent SDK with one MCP server."""

import asyncio
import os

from calls import BEARER, SERVER, SERVER_URL, drive
from claude_agent_sdk import AssistantMessage, ClaudeAgentOptions, ResultMessage, TextBlock, query
from journey import MODEL, TOKEN, URL

ENVIRONMENT = {
    "ANTHROPIC_BASE_URL": URL,
    "ANTHROPIC_API_KEY": TOKEN,
    "ANTHROPIC_MODEL": MODEL,
    "ANTHROPIC_DEFAULT_HAIKU_MODEL": MODEL,
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "ENABLE_TOOL_SEARCH": "false",  # else tools are not declared until they were searched for
}


async def said(prompt: str) -> str:
    options = ClaudeAgentOptions(
        model=MODEL,
        env=ENVIRONMENT,
        cwd=os.environ["HOME"],
        setting_sources=[],
        mcp_servers={SERVER: {"type": "http", "url": SERVER_URL, "headers": BEARER}},
        allowed_tools=[f"mcp__{SERVER}"],
    )
    text = ""
    async for message in query(prompt=prompt, options=options):
        if isinstance(message, AssistantMessage):
            parts = [block.text for block in message.content if isinstance(block, TextBlock)]
            text = "".join(parts) or text
        elif isinstance(message, ResultMessage) and message.is_error:
            raise RuntimeError(message.result)
    return text


drive(lambda prompt: asyncio.run(said(prompt)))
