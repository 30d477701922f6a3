"""What is asked of every subject: a call of a tool, or the list of all of them."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MODERN: Final = "2026-07-28"
LEGACY: Final = "2025-11-25"
TOOLS: Final = 200
TEXT: Final = "a text of the length that arguments have, " * 5


class Method(StrEnum):
    CALL = "tools/call"
    LIST = "tools/list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the results."""

    method: Method
    connections: int

    @property
    def name(self) -> str:
        return f"{self.method}, {self.connections} conn"


USUAL: Final = tuple(
    Scenario(method=method, connections=connections)
    for method in Method
    for connections in (1, 8, 64)
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a subject wants to be asked: era, its name of the tool, further headers."""

    is_modern: bool = True
    tool: str = "echo"


def body_of(scenario: Scenario, dialect: Dialect) -> bytes:
    """One request as a client of that era sends it; a call is about 300 bytes of it."""
    params: dict[str, object] = {}
    if scenario.method is Method.CALL:
        params = {"name": dialect.tool, "arguments": {"text": TEXT}}
    if dialect.is_modern:
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        }
    message = {"jsonrpc": "2.0", "id": 1, "method": scenario.method.value, "params": params}
    return json.dumps(message, separators=(",", ":")).encode()


def headers_of(scenario: Scenario, dialect: Dialect) -> dict[str, str]:
    """The headers that belong to such a request."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN if dialect.is_modern else LEGACY,
    }
    if dialect.is_modern:
        headers["mcp-method"] = scenario.method.value
        if scenario.method is Method.CALL:
            headers["mcp-name"] = dialect.tool
    return headers
