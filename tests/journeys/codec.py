"""The codec of each dialect, for the bytes of a stop."""

from ringfence.domain.model import Dialect
from ringfence.protocols.chat.codec import ChatCodec
from ringfence.protocols.dialect import Codec
from ringfence.protocols.gemini.codec import GeminiCodec
from ringfence.protocols.messages.codec import MessagesCodec
from ringfence.protocols.responses.codec import ResponsesCodec


def codec_of(dialect: Dialect) -> Codec:
    """The codec of a dialect that journeys speak."""
    codecs: dict[Dialect, Codec] = {
        Dialect.CHAT: ChatCodec(),
        Dialect.RESPONSES: ResponsesCodec(),
        Dialect.MESSAGES: MessagesCodec(),
        Dialect.GEMINI: GeminiCodec(),
    }
    return codecs[dialect]
