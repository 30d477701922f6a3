"""LangGraph with langchain-openai or langchain-anthropic: an agent with a tool and a memory."""

from collections.abc import Iterator, Sequence

from journey import MODE, MODEL, TOKEN, URL, WEATHER, Driver, drive
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool as as_tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

MODELS = {
    "openai": lambda: ChatOpenAI(
        model=MODEL, base_url=f"{URL}/v1", api_key=TOKEN, use_responses_api=False
    ),
    "anthropic": lambda: ChatAnthropic(model=MODEL, base_url=URL, api_key=TOKEN, max_tokens=2000),
}
LLM = MODELS[MODE]()


def said(message: object) -> str:
    return message.text if isinstance(message.text, str) else message.text()


def stream(prompt: str) -> str:
    return "".join(said(chunk) for chunk in LLM.stream(prompt))


def whole(prompt: str) -> str:
    return said(LLM.invoke(prompt))


def tool(prompt: str) -> tuple[str, list[str]]:
    results = []

    @as_tool
    def get_weather(city: str) -> str:
        """Tells the weather of a city."""
        results.append(f"{WEATHER} in {city}")
        return results[-1]

    agent = create_agent(LLM, [get_weather])
    state = agent.invoke({"messages": [{"role": "user", "content": prompt}]})
    return said(state["messages"][-1]), results


def turns(prompts: Sequence[str]) -> Iterator[str]:
    agent = create_agent(LLM, [], checkpointer=InMemorySaver())
    settings = {"configurable": {"thread_id": "one"}}
    for prompt in prompts:
        asked = {"messages": [{"role": "user", "content": prompt}]}
        parts = agent.stream(asked, settings, stream_mode="messages")
        yield "".join(said(chunk) for chunk, _ in parts)


drive(Driver(stream=stream, whole=whole, tool=tool, turns=turns))
