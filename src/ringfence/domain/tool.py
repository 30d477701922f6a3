"""The words of tools: the servers that offer them and what they may cost a person."""

from dataclasses import dataclass
from enum import IntEnum


class PermissionTier(IntEnum):
    """How much harm an action can do; ordered."""

    READ = 0
    WRITE = 1
    CONSEQUENTIAL = 2
    IRREVERSIBLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolServer:
    """An MCP server as the configuration states it: a command to run or a URL to call."""

    name: str
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    url: str | None = None
    credential: str | None = None
    tiers: tuple[tuple[str, PermissionTier], ...] = ()
    """Pattern of tool names and the tier they have, in the order of the file."""
