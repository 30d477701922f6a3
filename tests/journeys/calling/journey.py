"""Which clients call tools, and what was measured of each."""

from dataclasses import dataclass

from ringfence.domain.model import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One client in one mode, and the figures that it must keep.

    `dialect` is that of its model, None if it has none: then it does as the prompt says. `waits`:
    how long it waits for a tool, in seconds; None if as long as anything comes. `counts` is what a
    stateful counter tells it when called twice in one run. `has_ids`: it sends the model's id of
    each call. `requests` are its model calls when one tool is called, `posts` the messages that it
    sends to the tool server's address meanwhile. `tool` is what it calls a tool before its model,
    of `{server}` and `{tool}`, `hyphen` what it makes of one in a tool's name. `is_joined`: what it
    sends is enough to put its model calls and its tool calls into one trace. `has_session`: it is
    of an era with sessions; nothing else tells two clients of one token apart.
    """

    name: str
    folder: str
    dialect: Dialect | None
    mode: str = ""
    waits: float | None = None
    counts: tuple[str, ...] = ("1", "2")
    has_ids: bool = False
    requests: int = 2
    posts: int = 4
    tool: str = "{tool}"
    hyphen: str = "-"
    is_joined: bool = True
    has_session: bool = True
    timeout_s: float = 60.0


CALLERS = (
    Caller(name="mcp-session", folder="mcp", mode="session", dialect=None, requests=0, posts=7),
    Caller(
        name="mcp-client",
        folder="mcp",
        mode="client",
        dialect=None,
        requests=0,
        posts=5,
        has_session=False,
    ),
    Caller(
        name="fastmcp",
        folder="mcp",
        mode="fastmcp",
        dialect=None,
        requests=0,
        posts=5,
        has_session=False,
    ),
    Caller(name="langgraph", folder="langgraph", dialect=Dialect.CHAT, counts=("1", "1"), posts=7),
    Caller(name="langgraph-session", folder="langgraph", mode="session", dialect=Dialect.CHAT),
    Caller(
        name="openai-agents",
        folder="openai_agents",
        dialect=Dialect.CHAT,
        waits=5.0,
        has_session=False,
    ),
    Caller(
        name="openai-agents-patient",
        folder="openai_agents",
        mode="patient",
        dialect=Dialect.CHAT,
        has_session=False,
    ),
    Caller(
        name="pydantic-ai", folder="pydantic_ai", dialect=Dialect.CHAT, posts=3, has_session=False
    ),
    Caller(
        name="crewai",
        hyphen="_",
        folder="crewai",
        dialect=Dialect.CHAT,
        posts=5,
    ),
    Caller(name="autogen", folder="autogen", dialect=Dialect.CHAT, posts=6),
    Caller(
        name="claude-agent-sdk",
        folder="claude_agent_sdk",
        dialect=Dialect.MESSAGES,
        has_ids=True,
        posts=6,
        has_session=False,
    ),
    Caller(
        name="claude-code",
        folder="claude_code",
        dialect=Dialect.MESSAGES,
        has_ids=True,
        posts=6,
        has_session=False,
    ),
    Caller(
        name="codex",
        hyphen="_",
        folder="codex",
        dialect=Dialect.RESPONSES,
        has_ids=True,
    ),
    Caller(
        name="copilot",
        folder="copilot",
        mode="openai",
        dialect=Dialect.CHAT,
        tool="{server}-{tool}",
        has_session=False,
    ),
)
