"""The OpenAI Agents SDK, over responses or chat completions."""

import asyncio
from collections.abc import Iterator, Sequence

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from journey import MODE, MODEL, TOKEN, URL, WEATHER, Driver, drive
from openai import AsyncOpenAI

set_tracing_disabled(disabled=True)
MODELS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}


def agent(*tools: object) -> Agent:
    client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=TOKEN)
    model = MODELS[MODE](model=MODEL, openai_client=client)
    return Agent(name="weather", model=model, tools=list(tools))


async def streamed(prompt: str, session: SQLiteSession | None = None) -> str:
    run = Runner.run_streamed(agent(), prompt, session=session)
    text = ""
    async for event in run.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta
    return text


def whole(prompt: str) -> str:
    return Runner.run_sync(agent(), prompt).final_output


def tool(prompt: str) -> tuple[str, list[str]]:
    results = []

    @function_tool
    def get_weather(city: str) -> str:
        """Tells the weather of a city."""
        results.append(f"{WEATHER} in {city}")
        return results[-1]

    return Runner.run_sync(agent(get_weather), prompt).final_output, results


def turns(prompts: Sequence[str]) -> Iterator[str]:
    session = SQLiteSession("one")
    for prompt in prompts:
        yield asyncio.run(streamed(prompt, session))


drive(
    Driver(stream=lambda prompt: asyncio.run(streamed(prompt)), whole=whole, tool=tool, turns=turns)
)
