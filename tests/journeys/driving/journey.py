"""What every driver shares: where to call, with what, and how to say what the user saw.

A driver gives four functions; `drive` runs what the harness asks for in `JOURNEY_CASE` and prints
one JSON line. It runs in the client's own environment, so it imports the standard library alone.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

URL = os.environ["JOURNEY_URL"]
TOKEN = os.environ["JOURNEY_TOKEN"]
MODEL = os.environ["JOURNEY_MODEL"]
MODE = os.environ.get("JOURNEY_MODE", "")
HEADERS: dict[str, str] = json.loads(os.environ.get("JOURNEY_HEADERS", "{}"))

WEATHER = "sunny"
TOOL_DESCRIPTION = "Tells the weather of a city."
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "the city"}},
    "required": ["city"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Driver:
    """How one client does what the journey asks.

    `tool` gives the final text and the results that the tool gave; `turns` takes prompts of one
    conversation and yields the answers; `whole` is None where the client always streams.
    """

    stream: Callable[[str], str]
    tool: Callable[[str], tuple[str, list[str]]]
    turns: Callable[[Sequence[str]], Iterator[str]]
    whole: Callable[[str], str] | None = None


def drive(driver: Driver) -> None:
    """Run the case and print what the user saw."""
    prompts: dict[str, str] = json.loads(os.environ["JOURNEY_PROMPTS"])
    match os.environ["JOURNEY_CASE"]:
        case "talk":
            seen = talk(driver, prompts)
        case "tool":
            seen = {"turns": attempts((driver.tool(prompt)[0] for prompt in prompts.values()), 1)}
        case _:
            asked = list(prompts.values())
            seen = {"turns": attempts(driver.turns(asked), len(asked))}
    print("JOURNEY " + json.dumps(seen), flush=True)


def talk(driver: Driver, prompts: dict[str, str]) -> dict[str, object]:
    """Everything once: a stream, a whole answer, a tool call, two turns."""
    seen: dict[str, object] = {"stream": driver.stream(prompts["stream"])}
    if driver.whole is not None:
        seen["whole"] = driver.whole(prompts["whole"])
    seen["tool"], seen["tool_results"] = driver.tool(prompts["tool"])
    seen["turns"] = list(driver.turns([prompts["first"], prompts["second"]]))
    return seen


def attempts(answers: Iterator[str], times: int) -> list[dict[str, str]]:
    """One conversation, until it ends or fails."""
    outcomes = []
    for _ in range(times):
        try:
            outcomes.append({"text": next(answers)})
        except Exception as error:  # the point is to see what the user sees
            outcomes.append({"error": f"{type(error).__name__}: {error}"})
            break
    return outcomes


class CommandError(Exception):
    """A command-line client failed; the text is all that its user saw."""


def command(arguments: Sequence[str], *, env: dict[str, str] | None = None) -> str:
    """Run a command-line client in an empty folder and give its standard output."""
    folder = Path(os.environ["HOME"]) / "work"
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        arguments,
        cwd=folder,
        env=os.environ | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"exit {done.returncode}: {done.stdout}\n{done.stderr}")
    sys.stderr.write(done.stderr)
    return done.stdout
