"""A sample agent for OpenAI's chat dialect: answers a customer, with tools, over several turns.

It imports nothing of Ringfence. A base URL and a token are all that it knows.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

QUESTIONS = ("Where is my order 4711?", "Please send it to 12 Harbour Street instead.")
ORDERS = {"4711": "in transit, expected on Tuesday"}
TIMEOUT_S = 30.0


def find_order(order: str) -> str:
    """Look an order up."""
    return f"order {order}: {ORDERS.get(order, 'unknown')}"


def change_address(order: str, address: str) -> str:
    """Send an order elsewhere."""
    return f"order {order}: address changed to {address}"


TOOLS: dict[str, Callable[..., str]] = {"find_order": find_order, "change_address": change_address}


def declared(name: str, *parameters: str) -> dict[str, Any]:
    """A tool as the dialect declares it; every parameter is a text."""
    properties = {parameter: {"type": "string"} for parameter in parameters}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    function = {"name": name, "description": TOOLS[name].__doc__, "parameters": schema}
    return {"type": "function", "function": function}


def ask(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The model's next message."""
    body = {
        "model": "demo-chat",
        "messages": messages,
        "tools": [
            declared("find_order", "order"),
            declared("change_address", "order", "address"),
        ],
    }
    request = urllib.request.Request(  # noqa: S310 (the base URL that this agent was given)
        f"{os.environ['OPENAI_BASE_URL']}/chat/completions",
        json.dumps(body).encode(),
        {
            "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}",
            "content-type": "application/json",
            "user-agent": "demo-support/1",
        },
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 (as above)
        answer: dict[str, Any] = json.load(response)["choices"][0]["message"]
    return answer


def main() -> None:
    """Answer every question of one customer."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You answer customers' questions about their orders."}
    ]
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        answer = ask(messages)
        while calls := answer.get("tool_calls"):
            messages.append(answer)
            for call in calls:
                function = call["function"]
                result = TOOLS[function["name"]](**json.loads(function["arguments"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
            answer = ask(messages)
        messages.append(answer)
    sys.stdout.write("answered both questions\n")


if __name__ == "__main__":
    try:
        main()
    except urllib.error.HTTPError as error:
        sys.exit(f"status {error.code}: {error.read().decode(errors='replace')}")
