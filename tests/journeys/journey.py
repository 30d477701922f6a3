"""The journeys: which real clients are driven, and which line of the refusal table is theirs."""

from dataclasses import dataclass

from ringfence.domain.model import Dialect
from ringfence.protocols.refusal_table import FRAMEWORK_TRIES, Client

SDK_TOOL = 'Please call the tool get_weather with {"city": "Rome"}.'
SHELL = '{"command": "echo sunny in Rome", "description": "tell the weather"}'
EXEC = '{"cmd": "echo sunny in Rome"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One client in one mode.

    `folder` holds its manifest and driver; `row` is its line in the refusal table; `tries` is how
    often a framework repeats what its SDK reports; `sends_headers`: its driver adds headers of
    ours; `has_own_loop`: it calls tools by itself for as long as the model asks.
    """

    name: str
    folder: str
    dialect: Dialect
    row: Client
    mode: str = ""
    tool_prompt: str = SDK_TOOL
    tries: int = 1
    timeout_s: float = 60.0
    sends_headers: bool = False
    has_own_loop: bool = False


JOURNEYS = (
    Journey(
        name="openai-chat",
        folder="openai",
        mode="chat",
        dialect=Dialect.CHAT,
        row=Client.OPENAI_SDK,
        sends_headers=True,
    ),
    Journey(
        name="openai-responses",
        folder="openai",
        mode="responses",
        dialect=Dialect.RESPONSES,
        row=Client.OPENAI_SDK,
        sends_headers=True,
    ),
    Journey(
        name="anthropic",
        folder="anthropic",
        dialect=Dialect.MESSAGES,
        row=Client.ANTHROPIC_SDK,
        sends_headers=True,
    ),
    Journey(
        name="google-genai",
        folder="google_genai",
        dialect=Dialect.GEMINI,
        row=Client.GOOGLE_GENAI,
        sends_headers=True,
        has_own_loop=True,
    ),
    Journey(
        name="langgraph-openai",
        folder="langgraph",
        mode="openai",
        dialect=Dialect.CHAT,
        row=Client.OPENAI_SDK,
        has_own_loop=True,
    ),
    Journey(
        name="langgraph-anthropic",
        folder="langgraph",
        mode="anthropic",
        dialect=Dialect.MESSAGES,
        row=Client.ANTHROPIC_SDK,
        has_own_loop=True,
    ),
    Journey(
        name="openai-agents-responses",
        folder="openai_agents",
        mode="responses",
        dialect=Dialect.RESPONSES,
        row=Client.OPENAI_SDK,
        has_own_loop=True,
    ),
    Journey(
        name="openai-agents-chat",
        folder="openai_agents",
        mode="chat",
        dialect=Dialect.CHAT,
        row=Client.OPENAI_SDK,
        has_own_loop=True,
    ),
    Journey(
        name="pydantic-ai-chat",
        folder="pydantic_ai",
        mode="chat",
        dialect=Dialect.CHAT,
        row=Client.OPENAI_SDK,
        has_own_loop=True,
    ),
    Journey(
        name="pydantic-ai-messages",
        folder="pydantic_ai",
        mode="messages",
        dialect=Dialect.MESSAGES,
        row=Client.ANTHROPIC_SDK,
        has_own_loop=True,
    ),
    Journey(
        name="pydantic-ai-gemini",
        folder="pydantic_ai",
        mode="gemini",
        dialect=Dialect.GEMINI,
        row=Client.GOOGLE_GENAI,
        has_own_loop=True,
    ),
    Journey(
        name="crewai",
        folder="crewai",
        dialect=Dialect.CHAT,
        row=Client.OPENAI_SDK,
        tries=FRAMEWORK_TRIES["crewai"],
        timeout_s=75.0,
    ),
    Journey(
        name="autogen-chat",
        folder="autogen",
        mode="chat",
        dialect=Dialect.CHAT,
        row=Client.OPENAI_SDK,
    ),
    Journey(
        name="autogen-messages",
        folder="autogen",
        mode="messages",
        dialect=Dialect.MESSAGES,
        row=Client.ANTHROPIC_SDK,
    ),
    Journey(
        name="claude-agent-sdk",
        folder="claude_agent_sdk",
        dialect=Dialect.MESSAGES,
        row=Client.CLAUDE_AGENT_SDK,
        timeout_s=75.0,
        sends_headers=True,
        has_own_loop=True,
    ),
    Journey(
        name="claude-code",
        folder="claude_code",
        dialect=Dialect.MESSAGES,
        row=Client.CLAUDE_CODE,
        tool_prompt=f"Please call the tool Bash with {SHELL}.",
        timeout_s=75.0,
        sends_headers=True,
        has_own_loop=True,
    ),
    Journey(
        name="codex",
        folder="codex",
        dialect=Dialect.RESPONSES,
        row=Client.CODEX,
        tool_prompt=f"Please call the tool exec_command with {EXEC}.",
        timeout_s=75.0,
        sends_headers=True,
        has_own_loop=True,
    ),
    Journey(
        name="copilot-openai",
        folder="copilot",
        mode="openai",
        dialect=Dialect.CHAT,
        row=Client.COPILOT_CLI,
        tool_prompt=f"Please call the tool bash with {SHELL}.",
        timeout_s=75.0,
        has_own_loop=True,
    ),
    Journey(
        name="copilot-anthropic",
        folder="copilot",
        mode="anthropic",
        dialect=Dialect.MESSAGES,
        row=Client.COPILOT_CLI,
        tool_prompt=f"Please call the tool bash with {SHELL}.",
        timeout_s=75.0,
        has_own_loop=True,
    ),
)
