"""Claude Code, printing: it always streams, and its tool is its own shell."""

import os
from collections.abc import Iterator, Sequence

from journey import HEADERS, MODEL, TOKEN, URL, Driver, command, drive

CLAUDE = os.environ["JOURNEY_BIN"] + "/claude"
ENVIRONMENT = {
    "ANTHROPIC_BASE_URL": URL,
    "ANTHROPIC_API_KEY": TOKEN,
    "ANTHROPIC_CUSTOM_HEADERS": "\n".join(f"{name}: {value}" for name, value in HEADERS.items()),
    "ANTHROPIC_MODEL": MODEL,
    "ANTHROPIC_DEFAULT_HAIKU_MODEL": MODEL,
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
}


def claude(prompt: str, *more: str) -> str:
    return command([CLAUDE, "-p", prompt, "--model", MODEL, *more], env=ENVIRONMENT)


def tool(prompt: str) -> tuple[str, list[str]]:
    text = claude(prompt, "--allowedTools", "Bash")
    return text, [text]


def turns(prompts: Sequence[str]) -> Iterator[str]:
    for number, prompt in enumerate(prompts):
        yield claude(prompt, *(["--continue"] if number else []))


drive(Driver(stream=claude, tool=tool, turns=turns))
