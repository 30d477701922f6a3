"""GitHub Copilot CLI with a provider of one's own; always streamed; its tool is its own shell."""

import os
from collections.abc import Iterator, Sequence

from journey import MODE, MODEL, TOKEN, URL, Driver, command, drive

BIN = os.environ["JOURNEY_BIN"]
ENVIRONMENT = {
    "COPILOT_PROVIDER_TYPE": MODE,
    "COPILOT_PROVIDER_BASE_URL": f"{URL}/v1" if MODE == "openai" else URL,
    "COPILOT_PROVIDER_API_KEY": TOKEN,
    "COPILOT_MODEL": MODEL,
    "COPILOT_OFFLINE": "true",
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
}


def copilot(prompt: str, *more: str) -> str:
    options = ["--allow-all-tools", "--silent", "--no-color"]
    return command([f"{BIN}/copilot", "-p", prompt, *options, *more], env=ENVIRONMENT)


def tool(prompt: str) -> tuple[str, list[str]]:
    text = copilot(prompt)
    return text, [text]


def turns(prompts: Sequence[str]) -> Iterator[str]:
    for number, prompt in enumerate(prompts):
        yield copilot(prompt, *(["--continue"] if number else []))


drive(Driver(stream=copilot, tool=tool, turns=turns))
