"""Every dialect that the model gateway speaks."""

from collections.abc import Mapping

from ringfence.domain.model import Dialect
from ringfence.protocols.chat import ChatCodec
from ringfence.protocols.count_tokens import CountTokensCodec
from ringfence.protocols.dialect import Codec
from ringfence.protocols.embeddings import EmbeddingsCodec
from ringfence.protocols.gemini import GeminiCodec
from ringfence.protocols.messages import MessagesCodec
from ringfence.protocols.responses import ResponsesCodec


def codecs() -> Mapping[Dialect, Codec]:
    """A codec for each, made anew: a codec remembers what it has read."""
    return {
        Dialect.CHAT: ChatCodec(),
        Dialect.RESPONSES: ResponsesCodec(),
        Dialect.EMBEDDINGS: EmbeddingsCodec(),
        Dialect.MESSAGES: MessagesCodec(),
        Dialect.COUNT_TOKENS: CountTokensCodec(),
        Dialect.GEMINI: GeminiCodec(),
    }
