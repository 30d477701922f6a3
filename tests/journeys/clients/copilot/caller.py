"""GitHub Copilot CLI with one MCP server."""

import json
import os
from pathlib import Path

from calls import BEARER, SERVER, SERVER_URL, drive
from journey import MODE, MODEL, TOKEN, URL, command

BIN = os.environ["JOURNEY_BIN"]
ENVIRONMENT = {
    "COPILOT_PROVIDER_TYPE": MODE,
    "COPILOT_PROVIDER_BASE_URL": f"{URL}/v1" if MODE == "openai" else URL,
    "COPILOT_PROVIDER_API_KEY": TOKEN,
    "COPILOT_MODEL": MODEL,
    "COPILOT_OFFLINE": "true",
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
}
SERVERS = {
    "mcpServers": {SERVER: {"type": "http", "url": SERVER_URL, "headers": BEARER, "tools": ["*"]}}
}


def ask(prompt: str) -> str:
    written = Path(os.environ["HOME"]) / "servers.json"
    written.write_text(json.dumps(SERVERS))
    options = ["--allow-all-tools", "--silent", "--no-color", "--disable-builtin-mcps"]
    servers = ["--additional-mcp-config", f"@{written}"]
    return command([f"{BIN}/copilot", "-p", prompt, *options, *servers], env=ENVIRONMENT)


drive(ask)
