"""Which reader makes which dialect's stored bodies readable."""

from collections.abc import Mapping

from ringfence.domain.action import ActionKind
from ringfence.domain.model import Dialect
from ringfence.protocols.chat import ChatReader
from ringfence.protocols.command_exchange import CommandReader
from ringfence.protocols.dialect import Reader
from ringfence.protocols.gemini import GeminiReader
from ringfence.protocols.http_exchange import HttpReader
from ringfence.protocols.messages import MessagesReader
from ringfence.protocols.responses import ResponsesReader
from ringfence.protocols.tool_exchange import ToolReader


def readers() -> Mapping[str, Reader]:
    """By the `operation` of an intent (a dialect, a method of MCP), or by its `action_kind`."""
    return {
        Dialect.CHAT.value: ChatReader(),
        Dialect.RESPONSES.value: ResponsesReader(),
        Dialect.MESSAGES.value: MessagesReader(),
        Dialect.COUNT_TOKENS.value: MessagesReader(),
        Dialect.GEMINI.value: GeminiReader(),
        "tools/call": ToolReader(),
        ActionKind.SHELL_EXEC.value: CommandReader(),
        ActionKind.HTTP_REQUEST.value: HttpReader(),
    }
