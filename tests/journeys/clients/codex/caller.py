"""Codex with one MCP server."""

import os

from calls import SERVER, SERVER_URL, drive
from journey import MODEL, URL, command

CODEX = os.environ["JOURNEY_BIN"] + "/codex"
PROVIDER = {
    "name": "journey",
    "base_url": f"{URL}/v1",
    "env_key": "JOURNEY_TOKEN",
    "wire_api": "responses",
}
TOOLS = {"url": SERVER_URL, "bearer_token_env_var": "JOURNEY_TOKEN"}
SETTINGS = [
    'model_provider="journey"',
    f'model="{MODEL}"',
    'web_search="disabled"',
    "check_for_update_on_startup=false",
    *(f'model_providers.journey.{key}="{value}"' for key, value in PROVIDER.items()),
    *(f'mcp_servers.{SERVER}.{key}="{value}"' for key, value in TOOLS.items()),
]


def ask(prompt: str) -> str:
    settings = [part for setting in SETTINGS for part in ("-c", setting)]
    options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return command([CODEX, "exec", *settings, *options, prompt])


drive(ask)
