"""The tools that an Anthropic request declares: whose they are follows from their type.

Source: `BetaToolUnionParam` of the anthropic SDK 2.11.0 (read 2026-11-21).
"""

import re
from typing import Final

from ringfence.domain.exchange import Feature
from ringfence.protocols import strict_json
from ringfence.protocols.field import Findings, feature

CLIENT_TYPES: Final = {
    "custom": "the agent's own",
    "bash": "commands run where the agent runs",
    "text_editor": "edits are made where the agent runs",
    "computer": "clicks are made by the agent",
    "computer_toolset": "the same, as a family of tools",
    "browser_toolset": "the agent's browser: its state comes back as a `browser_state` block",
    "memory": "files are kept by the agent",
}
"""Types, without their date, that the agent itself carries out, and why."""

HOSTED_TYPES: Final = {
    "web_search": "web_search",
    "web_fetch": "web_fetch",
    "code_execution": "code_execution",
    "tool_search_tool_bm25": "tool_search",
    "tool_search_tool_regex": "tool_search",
    "mcp_toolset": "mcp_toolset",
    "advisor": "advisor",
}
"""Types, without their date, that the provider carries out, and the name that allows them. A type
in neither table is new, and allowed only by its own name."""

_NAMES: Final = frozenset({"type", "name"})
_DATE: Final = re.compile(r"_[0-9]{8}\Z")


def read_tools(raw: bytes) -> Findings:
    """Read a `tools` array."""
    findings = Findings()
    tools = strict_json.parse(raw)
    if not isinstance(tools, list):
        strict_json.refuse("`tools` is not an array")
    for tool in tools:
        read_tool(tool, findings)
    return findings


def read_servers(raw: bytes, findings: Findings) -> None:
    """Read `mcp_servers`, which the provider would call itself; each by its URL."""
    servers = strict_json.parse(raw)
    if not isinstance(servers, list):
        strict_json.refuse("`mcp_servers` is not an array")
    for server in servers:
        url = server.get("url") if isinstance(server, dict) else None
        findings.hosted.append(feature("mcp_servers", url))


def read_tool(tool: object, findings: Findings) -> None:
    """Read one tool, from `tools` or from a message that adds it on the way."""
    if not isinstance(tool, dict):
        strict_json.refuse("a tool is not an object")
    strict_json.refuse_lookalikes(tool, _NAMES)
    kind = tool.get("type")
    if kind is None:
        kind = "custom"
    if not isinstance(kind, str):
        strict_json.refuse("the `type` of a tool is not a string")
    family = _DATE.sub("", kind)
    if family in CLIENT_TYPES:
        # A toolset stands for its members and has no name of its own.
        name = tool.get("name")
        findings.tools.append(name if isinstance(name, str) and name else family)
    else:
        findings.hosted.append(Feature(HOSTED_TYPES.get(family, family), kind))
        uses = tool.get("max_uses")
        if uses is not None:
            if type(uses) is not int or uses < 1:
                strict_json.refuse("the `max_uses` of a tool is not a whole number above zero")
            findings.hosted_uses.append(uses)
