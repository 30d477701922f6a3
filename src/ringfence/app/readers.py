"""Which reader makes which dialect's stored bodies readable."""

from collections.abc import Mapping

from ringfence.domain.model import Dialect
from ringfence.protocols.chat import ChatReader
from ringfence.protocols.dialect import Reader
from ringfence.protocols.gemini import GeminiReader
from ringfence.protocols.messages import MessagesReader
from ringfence.protocols.responses import ResponsesReader


def readers() -> Mapping[str, Reader]:
    """By the `operation` of an intent, which is the value of its dialect."""
    return {
        Dialect.CHAT.value: ChatReader(),
        Dialect.RESPONSES.value: ResponsesReader(),
        Dialect.MESSAGES.value: MessagesReader(),
        Dialect.COUNT_TOKENS.value: MessagesReader(),
        Dialect.GEMINI.value: GeminiReader(),
    }
