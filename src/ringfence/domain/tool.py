"""The words of tools: the servers that offer them and what they may cost a person."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from ringfence.domain.model import Pace
from ringfence.domain.tool_rule import USUAL, ToolRules
from ringfence.domain.tool_view import ToolView


class PermissionTier(IntEnum):
    """How much harm an action can do; ordered."""

    READ = 0
    WRITE = 1
    CONSEQUENTIAL = 2
    IRREVERSIBLE = 3


class ServerEra(StrEnum):
    """Which era of MCP a server is spoken to in."""

    ANY = "any"
    """The client's own, if the server speaks it: the server is asked."""
    LEGACY = "legacy"
    MODERN = "modern"


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """How a token for a server is got (OAuth 2.1): as this gateway itself, or by a person's grant.

    `secret` names the credential of the client. As itself it gets tokens at `token_url` with client
    credentials. Where a person grants them (`is_by_person`) the server says who gives them out, and
    a client that is not named registers itself.
    """

    client: str = ""
    secret: str = ""
    token_url: str = ""
    scopes: tuple[str, ...] = ()
    is_by_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolServer:
    """A group of tools: an MCP server (a command to run, a URL to call), or the agent's own.

    `is_stateful` says whether what one agent does may show to another that shares the server: then
    each session, or each agent without sessions, has a process of its own. Times are in seconds.
    """

    name: str
    granted_to: str = ""
    """The organisation with whose grant it is called, set where it is reached."""
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    url: str | None = None
    is_run_by_agent: bool = False
    """It is no server: its tools are the agent's own, which asks before it uses one."""
    credential: str | None = None
    oauth: OAuthClient | None = None
    is_stateful: bool = True
    era: ServerEra = ServerEra.ANY
    connect_timeout_s: float = 10.0
    call_timeout_s: float = 60.0
    tiers: tuple[tuple[str, PermissionTier], ...] = ()
    """Pattern of tool names and the tier they have, in the order of the file."""
    pace: Pace | None = None
    """How fast its tools may be called, by all agents of the organisation together."""
    owner: str = ""
    """The user who answers for it; empty if nobody was named."""
    views: tuple[ToolView, ...] = ()
    """What clients see of its tools; a tool without a view is seen as it is."""
    rules: ToolRules = USUAL
    """How its tools are called, and what happens when that fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolKey:
    """A tool: policy, pins and the record always name it by its server and its own name."""

    server: str
    name: str

    @property
    def merged(self) -> str:
        """The name as scopes, policies and events spell it: `server__tool`."""
        return f"{self.server}__{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDefinition:
    """A tool as its server lists it.

    `raw` is the JSON object as it came, with every field, also those that nobody here knows; the
    rest was read from it. Schemas are canonical JSON; `output_schema` is empty if there is none.
    """

    key: ToolKey
    raw: bytes
    title: str = ""
    description: str = ""
    input_schema: bytes = b"{}"
    output_schema: bytes = b""
    annotations: tuple[tuple[str, str | bool], ...] = ()
    """The hints of the protocol (`readOnlyHint` …), by name; a server's word, never trusted."""


class ToolState(StrEnum):
    """How a listed tool stands to what was pinned. Only an `OK` one may be called."""

    OK = "ok"
    NEW = "new"
    """Its server is pinned and did not have it."""
    CHANGED = "changed"
    REMOVED = "removed"
    RENAMED = "renamed"
    """Its content is that of a pinned tool which has gone."""
    QUARANTINED = "quarantined"
    """It cannot be read or shown safely, for example for hidden characters."""
    SHADOWED = "shadowed"
    """A tool of another server had its name first."""
