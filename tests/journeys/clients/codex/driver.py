"""Codex: responses only, always streamed; its tool is its own shell."""

import os
from collections.abc import Iterator, Sequence

from journey import HEADERS, MODEL, URL, Driver, command, drive

CODEX = os.environ["JOURNEY_BIN"] + "/codex"
PROVIDER = {
    "name": "journey",
    "base_url": f"{URL}/v1",
    "env_key": "JOURNEY_TOKEN",
    "wire_api": "responses",
}
SETTINGS = [
    'model_provider="journey"',
    f'model="{MODEL}"',
    'web_search="disabled"',
    "check_for_update_on_startup=false",
    *(f'model_providers.journey.{key}="{value}"' for key, value in PROVIDER.items()),
    *(f'model_providers.journey.http_headers.{key}="{value}"' for key, value in HEADERS.items()),
]


def codex(prompt: str, *resume: str) -> str:
    settings = [part for setting in SETTINGS for part in ("-c", setting)]
    options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return command([CODEX, "exec", *resume, *settings, *options, prompt])


def tool(prompt: str) -> tuple[str, list[str]]:
    text = codex(prompt)
    return text, [text]


def turns(prompts: Sequence[str]) -> Iterator[str]:
    for number, prompt in enumerate(prompts):
        yield codex(prompt, *(["resume", "--last"] if number else []))


drive(Driver(stream=codex, tool=tool, turns=turns))
