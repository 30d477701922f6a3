"""Pydantic AI, over chat completions, Anthropic messages or Gemini."""

import asyncio
from collections.abc import Iterator, Sequence

from journey import MODE, MODEL, TOKEN, URL, WEATHER, Driver, drive
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

MODELS = {
    "chat": lambda: OpenAIChatModel(
        MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=TOKEN)
    ),
    "messages": lambda: AnthropicModel(
        MODEL, provider=AnthropicProvider(base_url=URL, api_key=TOKEN)
    ),
    "gemini": lambda: GoogleModel(MODEL, provider=GoogleProvider(base_url=URL, api_key=TOKEN)),
}


def agent() -> Agent:
    return Agent(MODELS[MODE]())


async def streamed(prompt: str, history: Sequence = ()) -> tuple[str, Sequence]:
    async with agent().run_stream(prompt, message_history=list(history)) as run:
        pieces = [piece async for piece in run.stream_text(delta=True)]
        return "".join(pieces), run.all_messages()


def whole(prompt: str) -> str:
    return agent().run_sync(prompt).output


def tool(prompt: str) -> tuple[str, list[str]]:
    results = []
    asked = agent()

    @asked.tool_plain
    def get_weather(city: str) -> str:
        """Tells the weather of a city."""
        results.append(f"{WEATHER} in {city}")
        return results[-1]

    return asked.run_sync(prompt).output, results


def turns(prompts: Sequence[str]) -> Iterator[str]:
    history: Sequence = ()
    for prompt in prompts:
        text, history = asyncio.run(streamed(prompt, history))
        yield text


drive(
    Driver(
        stream=lambda prompt: asyncio.run(streamed(prompt))[0], whole=whole, tool=tool, turns=turns
    )
)
