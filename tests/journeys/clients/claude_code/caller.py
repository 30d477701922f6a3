"""Claude Code, printing, with one MCP server; as a user starts it, without any switch for time."""

import json
import os

from calls import BEARER, SERVER, SERVER_URL, drive
from journey import MODEL, TOKEN, URL, command

CLAUDE = os.environ["JOURNEY_BIN"] + "/claude"
ENVIRONMENT = {
    "ANTHROPIC_BASE_URL": URL,
    "ANTHROPIC_API_KEY": TOKEN,
    "ANTHROPIC_MODEL": MODEL,
    "ANTHROPIC_DEFAULT_HAIKU_MODEL": MODEL,
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "ENABLE_TOOL_SEARCH": "false",  # else tools are not declared until they were searched for
}
SERVERS = {"mcpServers": {SERVER: {"type": "http", "url": SERVER_URL, "headers": BEARER}}}


def ask(prompt: str) -> str:
    servers = ["--mcp-config", json.dumps(SERVERS), "--strict-mcp-config"]
    allowed = ["--allowedTools", f"mcp__{SERVER}"]
    return command([CLAUDE, "-p", prompt, "--model", MODEL, *servers, *allowed], env=ENVIRONMENT)


drive(ask)
