"""A plane as a process with a scripted tool server, an agent that calls it, people who answer."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.app.installation import ENVIRONMENT, TOKEN, Answer, Installation

VERSION = "2026-07-28"
_META = "io.modelcontextprotocol/"
CONFIG = """\
format: 1
organisation: {{name: acme, timezone: UTC{organisation}}}
users:
  owner@acme.example: {{roles: [admin]}}
  ann@acme.example: {{roles: [{ann}]}}
approvals: {{seconds: {seconds}}}
tools:
  crm: {{url: "{url}", read: [echo, slow, fail, add, counter], irreversible: [delete_all]{server}}}
agents:
  triage:
    owner: owner@acme.example
    category: bounded
    purpose: Route incoming tickets.
    tools: ["crm__*"]
    {agent}
"""


def configure(  # noqa: PLR0913 (what a configuration here may differ in)
    installed: Installation,
    url: str,
    *,
    seconds: int | str = 60,
    ann: str = "approver",
    organisation: str = "",
    server: str = "",
    agent: str = "limits: {tool_calls: 1000, calls_per_tool: 1000}",
) -> None:
    """Write the configuration of one organisation with one agent and one tool server."""
    text = CONFIG.format(
        url=url, seconds=seconds, ann=ann, organisation=organisation, server=server, agent=agent
    )
    (installed.folder / "ringfence.yaml").write_text(text)


@dataclass(frozen=True, slots=True)
class Told:
    """What an agent was told of its call."""

    answer: Answer
    message: dict[str, Any]

    @property
    def text(self) -> str:
        """The text of the result, or the message of the error."""
        if "error" in self.message:
            return str(self.message["error"]["message"])
        return "".join(part.get("text", "") for part in self.message["result"]["content"])

    @property
    def code(self) -> str:
        """The code of a refusal; empty if it was answered by the server."""
        result = self.message.get("result", {})
        told = result.get("structuredContent", {}).get("ringfence", {})
        return str(told.get("code", "")) or str(result.get("structuredContent", {}).get("code", ""))


async def call_tool(  # noqa: PLR0913 (what a call may differ in)
    installed: Installation,
    name: str,
    arguments: Mapping[str, object],
    *,
    token: str = TOKEN,
    headers: Mapping[str, str] | None = None,
    path: str = "/mcp/crm",
    number: int = 1,
) -> Told:
    """One call of a tool by a client of the modern era."""
    params = {
        "name": name,
        "arguments": dict(arguments),
        "_meta": {f"{_META}protocolVersion": VERSION, f"{_META}clientCapabilities": {}},
    }
    body = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    lines = {
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": VERSION,
        "mcp-method": "tools/call",
        "mcp-name": name,
    } | dict(headers or {})
    answer = await installed.send("POST", path, json.dumps(body).encode(), lines)
    return Told(answer, _last(answer.body))


def _last(body: bytes) -> dict[str, Any]:
    """The answer, as a document or as the last event of a stream."""
    lines = [line.removeprefix(b"data: ") for line in body.splitlines() if line.startswith(b"data")]
    found: dict[str, Any] = json.loads(lines[-1] if lines else body)
    return found


async def ringfence(installed: Installation, *arguments: str) -> str:
    """What a command of an operator prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ringfence", *arguments),
        *("--config", str(installed.settings.config), "--data", str(installed.data)),
        env=os.environ | ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, (output, errors)
    return output.decode()


async def held(installed: Installation, count: int = 1, *, organisation: str = "") -> Sequence[str]:
    """The ids of the calls that wait for people, once there are so many."""
    async with asyncio.timeout(60):
        while True:
            of = ("--organisation", organisation) if organisation else ()
            found = json.loads(await ringfence(installed, "approval", "list", "--json", *of))
            if len(found) >= count:
                return [str(each["id"]) for each in found]
            await asyncio.sleep(0.05)
