"""CrewAI with crewai-tools' adapter for one MCP server.

Not with the agent's own `mcps`: in this release they fail after each call (“no running event loop”)
with any server.
"""

from calls import BEARER, SERVER_URL, drive
from crewai import LLM, Agent, Crew, Task
from crewai_tools import MCPServerAdapter
from journey import MODEL, TOKEN, URL

SERVER = {"url": SERVER_URL, "transport": "streamable-http", "headers": BEARER}


def ask(prompt: str) -> str:
    with MCPServerAdapter(SERVER) as tools:
        agent = Agent(
            role="caller",
            goal="call tools",
            backstory="You call tools.",
            llm=LLM(model=f"openai/{MODEL}", base_url=f"{URL}/v1", api_key=TOKEN),
            tools=list(tools),
            max_iter=6,
        )
        task = Task(description=prompt, expected_output="the answer", agent=agent)
        return Crew(agents=[agent], tasks=[task]).kickoff().raw


drive(ask)
