"""Anthropic's `/v1/messages/count_tokens`: a free call that gives a number and makes no output.

It takes what `/v1/messages` takes, so it is read the same way: what an agent may not send for an
answer, it may not send for a count.
"""

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Answer, ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.usage import Usage
from ringfence.protocols import strict_json
from ringfence.protocols.messages import MessagesCodec
from ringfence.protocols.messages.answer import WireError, error_type
from ringfence.protocols.request import LocatedRequest, located, model_edits, spans_of


class _Count(msgspec.Struct):
    input_tokens: int | None = None
    error: WireError | None = None


_decoder = msgspec.json.Decoder(_Count)


class CountTokensCodec(MessagesCodec):
    """The dialect of `/v1/messages/count_tokens`. Errors are those of `/v1/messages`."""

    def parse(
        self, body: bytes, *, path_model: str = "", path_stream: bool = False
    ) -> LocatedRequest:
        """Read a request strictly. Raises PeerError `request_malformed`.

        There is no output, so its limit is 0.
        """
        del path_model, path_stream
        found = strict_json.spans(body)
        findings, messages = self.inspect(body, found)
        return located(Dialect.COUNT_TOKENS, body, found, findings, messages, output_limit=0)

    def rewrite(
        self, request: ModelRequest, *, model: str, output_limit: int | None, inject_usage: bool
    ) -> bytes:
        """Give the body to send; only the model is ever changed."""
        del output_limit, inject_usage
        edits = model_edits(request, spans_of(request), model)
        return strict_json.replace(request.body, edits)

    def read(self, body: bytes) -> Answer:
        """Read the count. Nothing is charged, so the usage is nil: the count is not input paid for.

        Raises PeerError `provider_malformed`.
        """
        try:
            count = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            message = "the provider's answer is not a count of tokens"
            raise PeerError("provider_malformed", message) from error
        if count.error:
            return Answer(error=error_type(count.error))
        if count.input_tokens is None:
            raise PeerError("provider_malformed", "the provider's answer holds no `input_tokens`")
        return Answer(usage=Usage(input_tokens=0, output_tokens=0))
