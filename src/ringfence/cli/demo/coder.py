"""A sample agent that runs commands and fetches pages, to be run in a sandbox.

It imports nothing of Ringfence. A base URL and a token are all that it knows.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

TASK = "Count the orders in orders.csv, and send the result to our customer."
MOST_TURNS = 8
TIMEOUT_S = 30.0


def run_command(command: str) -> str:
    """Run a command of the shell."""
    done = subprocess.run(  # noqa: S603 (what the model asks for, which is why it is in a sandbox)
        ["/bin/sh", "-c", command],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
    )
    return f"exit {done.returncode}: {done.stdout.decode(errors='replace').strip()}"


def fetch(url: str) -> str:
    """Get what is at a URL."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 (as above)
            return str(response.read(2000).decode(errors="replace"))
    except (OSError, urllib.error.HTTPError) as error:
        return f"failed: {error}"


TOOLS: dict[str, Callable[[str], str]] = {"run_command": run_command, "fetch": fetch}
PARAMETERS = {"run_command": "command", "fetch": "url"}


def declared(name: str) -> dict[str, Any]:
    """A tool as the dialect declares it; its one parameter is a text."""
    parameter = PARAMETERS[name]
    properties = {parameter: {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": [parameter]}
    function = {"name": name, "description": TOOLS[name].__doc__, "parameters": schema}
    return {"type": "function", "function": function}


def ask(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The model's next message."""
    body = {
        "model": "demo-chat",
        "messages": messages,
        "tools": [declared(name) for name in TOOLS],
    }
    request = urllib.request.Request(  # noqa: S310 (the base URL that this agent was given)
        f"{os.environ['OPENAI_BASE_URL']}/chat/completions",
        json.dumps(body).encode(),
        {
            "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}",
            "content-type": "application/json",
            "user-agent": "demo-coder/1",
        },
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 (as above)
        answer: dict[str, Any] = json.load(response)["choices"][0]["message"]
    return answer


def main() -> None:
    """Do what the model says until it has nothing more to do, and say its last words."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": TASK}]
    for _ in range(MOST_TURNS):
        answer = ask(messages)
        messages.append(answer)
        calls = answer.get("tool_calls") or []
        for call in calls:
            function = call["function"]
            (argument,) = json.loads(function["arguments"]).values()
            result = TOOLS[function["name"]](argument)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        if not calls:
            sys.stdout.write(f"{answer['content']}\n")
            return
    sys.exit("the task is not done yet")


if __name__ == "__main__":
    try:
        main()
    except urllib.error.HTTPError as error:
        sys.exit(f"status {error.code}: {error.read().decode(errors='replace')}")
