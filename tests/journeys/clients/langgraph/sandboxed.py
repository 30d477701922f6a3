"""A LangGraph agent as one writes it: a shell, an MCP server, and nothing that knows Ringfence.

It finds its model in the variables of the OpenAI SDK, and the tools at `RINGFENCE_URL`.
"""

import asyncio
import os
import subprocess
import sys

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_openai import ChatOpenAI

SERVERS = {
    "crm": {
        "transport": "http",
        "url": f"{os.environ['RINGFENCE_URL']}/mcp/crm",
        "headers": {"Authorization": f"Bearer {os.environ['RINGFENCE_TOKEN']}"},
    }
}


@tool
def shell(line: str) -> str:
    """Run one line of Bash and give what it says."""
    done = subprocess.run(["/bin/bash", "-c", line], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


async def main(prompt: str) -> str:
    tools = [shell, *await MultiServerMCPClient(SERVERS).get_tools()]
    agent = create_agent(ChatOpenAI(model="graph", use_responses_api=False), tools)
    state = await agent.ainvoke({"messages": [{"role": "user", "content": prompt}]})
    return state["messages"][-1].text


print(asyncio.run(main(sys.argv[1])))
