"""AutoGen 0.7.5 with the pins it needs (mcp<2, anthropic<1), over chat or messages."""

import asyncio
from collections.abc import Iterator, Sequence

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ModelClientStreamingChunkEvent
from autogen_ext.models.anthropic import AnthropicChatCompletionClient
from autogen_ext.models.openai import OpenAIChatCompletionClient
from journey import MODE, MODEL, TOKEN, URL, WEATHER, Driver, drive

INFO = {
    "vision": False,
    "function_calling": True,
    "json_output": False,
    "structured_output": False,
    "family": "unknown",
}
CLIENTS = {
    "chat": lambda: OpenAIChatCompletionClient(
        model=MODEL, base_url=f"{URL}/v1", api_key=TOKEN, model_info=INFO
    ),
    "messages": lambda: AnthropicChatCompletionClient(
        model=MODEL, base_url=URL, api_key=TOKEN, model_info=INFO, max_tokens=2000
    ),
}


def agent(*tools: object, stream: bool) -> AssistantAgent:
    return AssistantAgent(
        "weather",
        CLIENTS[MODE](),
        tools=list(tools),
        model_client_stream=stream,
        reflect_on_tool_use=True,
    )


async def streamed(asked: AssistantAgent, prompt: str) -> str:
    text = ""
    async for event in asked.run_stream(task=prompt):
        if isinstance(event, ModelClientStreamingChunkEvent):
            text += event.content
    return text


async def whole(asked: AssistantAgent, prompt: str) -> str:
    return (await asked.run(task=prompt)).messages[-1].content


def tool(prompt: str) -> tuple[str, list[str]]:
    results = []

    def get_weather(city: str) -> str:
        """Tells the weather of a city."""
        results.append(f"{WEATHER} in {city}")
        return results[-1]

    return asyncio.run(whole(agent(get_weather, stream=False), prompt)), results


def turns(prompts: Sequence[str]) -> Iterator[str]:
    asked = agent(stream=True)
    with asyncio.Runner() as runner:
        for prompt in prompts:
            yield runner.run(streamed(asked, prompt))


drive(
    Driver(
        stream=lambda prompt: asyncio.run(streamed(agent(stream=True), prompt)),
        whole=lambda prompt: asyncio.run(whole(agent(stream=False), prompt)),
        tool=tool,
        turns=turns,
    )
)
