"""The Claude Agent SDK, whose wheel carries Claude Code; it always streams."""

import asyncio
import os
from collections.abc import Iterator, Sequence

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ResultMessage,
    TextBlock,
    create_sdk_mcp_server,
)
from claude_agent_sdk import tool as as_tool
from journey import HEADERS, MODEL, TOKEN, URL, WEATHER, Driver, drive

ENVIRONMENT = {
    "ANTHROPIC_BASE_URL": URL,
    "ANTHROPIC_API_KEY": TOKEN,
    "ANTHROPIC_CUSTOM_HEADERS": "\n".join(f"{name}: {value}" for name, value in HEADERS.items()),
    "ANTHROPIC_MODEL": MODEL,
    "ANTHROPIC_DEFAULT_HAIKU_MODEL": MODEL,
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "ENABLE_TOOL_SEARCH": "false",  # else the tool is not declared until it was searched for
}


class AgentError(Exception):
    """What the SDK reports as the result of a failed run."""


def options(**more: object) -> ClaudeAgentOptions:
    return ClaudeAgentOptions(
        model=MODEL,
        env=ENVIRONMENT,
        cwd=os.environ["HOME"],
        setting_sources=[],
        permission_mode="bypassPermissions" if os.geteuid() else "default",
        **more,
    )


async def said(client: ClaudeSDKClient, prompt: str) -> str:
    await client.query(prompt)
    text, result = "", None
    async for message in client.receive_response():
        if isinstance(message, AssistantMessage):
            parts = [block.text for block in message.content if isinstance(block, TextBlock)]
            text = "".join(parts) or text
        elif isinstance(message, ResultMessage):
            result = message
    if result is None or result.is_error:
        raise AgentError(f"{text} {result and result.result}")
    return text


async def once(prompt: str, **more: object) -> str:
    async with ClaudeSDKClient(options(**more)) as client:
        return await said(client, prompt)


def tool(prompt: str) -> tuple[str, list[str]]:
    results = []

    @as_tool("get_weather", "Tells the weather of a city.", {"city": str})
    async def get_weather(arguments: dict) -> dict:
        results.append(f"{WEATHER} in {arguments['city']}")
        return {"content": [{"type": "text", "text": results[-1]}]}

    server = create_sdk_mcp_server("journey", tools=[get_weather])
    allowed = ["mcp__journey__get_weather"]
    text = asyncio.run(once(prompt, mcp_servers={"journey": server}, allowed_tools=allowed))
    return text, results


def turns(prompts: Sequence[str]) -> Iterator[str]:
    client = ClaudeSDKClient(options())
    with asyncio.Runner() as runner:
        runner.run(client.connect())
        try:
            for prompt in prompts:
                yield runner.run(said(client, prompt))
        finally:
            runner.run(client.disconnect())


drive(Driver(stream=lambda prompt: asyncio.run(once(prompt)), tool=tool, turns=turns))
