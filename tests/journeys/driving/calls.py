"""What every driver of tool calls shares: which server, which prompt, and what its user saw.

A driver gives one function that takes a prompt in plain words (“Please call the tool echo with
{…}.”) to an agent that has the server's tools, and gives what it says in the end. It runs in the
client's own environment, so it imports the standard library alone.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TOKEN = os.environ["JOURNEY_TOKEN"]
SERVER = os.environ["JOURNEY_SERVER"]
SERVER_URL = f"{os.environ['JOURNEY_URL']}/mcp/{SERVER}"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
LONGEST_S = 300
"""Given to clients that must be told how long a tool may take."""

_CALL = re.compile(r"the tool ([\w-]+) with ")


@dataclass(frozen=True)
class Call:
    """A tool call that a prompt asks for, for clients that have no model."""

    name: str
    arguments: dict[str, object]


def calls(prompt: str) -> list[Call]:
    """The calls that a prompt asks for, in order."""
    found = []
    for match in _CALL.finditer(prompt):
        arguments, _ = json.JSONDecoder().raw_decode(prompt, match.end())
        found.append(Call(match[1], arguments))
    return found


def drive(ask: Callable[[str], str], listed: Callable[[], Sequence[str]] | None = None) -> None:
    """Ask, and print what the user saw; `listed` where no model is offered the tools."""
    seen: dict[str, object] = {}
    try:
        if listed is not None:
            seen["listed"] = sorted(listed())
        seen["said"] = ask(json.loads(os.environ["JOURNEY_PROMPTS"])["1"])
    except Exception as error:  # the point is to see what the user sees
        seen["error"] = f"{type(error).__name__}: {error}"
    print("JOURNEY " + json.dumps(seen), flush=True)
