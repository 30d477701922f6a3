"""CrewAI: a crew of one agent; a turn is a task that is given the tasks before it."""

from collections.abc import Iterator, Sequence

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool as as_tool
from journey import MODEL, TOKEN, URL, WEATHER, Driver, drive


def llm(*, stream: bool) -> LLM:
    return LLM(model=f"openai/{MODEL}", base_url=f"{URL}/v1", api_key=TOKEN, stream=stream)


def task(prompt: str, *, stream: bool, tools: Sequence = (), after: Sequence = ()) -> Task:
    agent = Agent(
        role="forecaster",
        goal="tell the weather",
        backstory="You know the weather.",
        llm=llm(stream=stream),
        tools=list(tools),
        max_iter=3,
    )
    context = list(after) or None
    return Task(description=prompt, expected_output="the answer", agent=agent, context=context)


def crew(done: Task) -> str:
    return Crew(agents=[done.agent], tasks=[done]).kickoff().raw


def tool(prompt: str) -> tuple[str, list[str]]:
    results = []

    @as_tool("get_weather")
    def get_weather(city: str) -> str:
        """Tells the weather of a city."""
        results.append(f"{WEATHER} in {city}")
        return results[-1]

    return crew(task(prompt, stream=False, tools=[get_weather])), results


def turns(prompts: Sequence[str]) -> Iterator[str]:
    done: list[Task] = []
    for prompt in prompts:
        done.append(task(prompt, stream=True, after=done))
        yield crew(done[-1])


drive(
    Driver(
        stream=lambda prompt: crew(task(prompt, stream=True)),
        whole=lambda prompt: crew(task(prompt, stream=False)),
        tool=tool,
        turns=turns,
    )
)
