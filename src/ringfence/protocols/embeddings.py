"""OpenAI embeddings: input only, never streamed.

Source: https://platform.openai.com/docs/api-reference/embeddings and the openai SDK 3.52.0.
"""

from typing import Final, NoReturn

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Answer, ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Reason
from ringfence.protocols import refusal, sse, strict_json
from ringfence.protocols.closed_field import ClosedFieldTable
from ringfence.protocols.field import Field, Findings, Meaning, feature, free, only
from ringfence.protocols.lenient import decode, error_name, record, text
from ringfence.protocols.request import (
    LocatedRequest,
    cut,
    flag_of,
    located,
    model_edits,
    spans_of,
)
from ringfence.protocols.strict_json import Span
from ringfence.protocols.usage import read_usage

FIELDS: Final = ClosedFieldTable(
    [
        Field("input", Meaning.READ, "the input"),
        Field("model", Meaning.READ, "chosen by the configuration's aliases"),
        Field("dimensions", Meaning.FREE, "the length of the answer is not paid for"),
        Field("encoding_format", Meaning.FREE, "how the answer is written"),
        Field("stream", Meaning.READ, "refused: there are no streams"),
        Field("user", Meaning.CLIENT_ID, "names the user"),
        Field("metadata", Meaning.CLIENT_ID, "clients put ids there"),
        Field("safety_identifier", Meaning.CLIENT_ID, "names the user"),
        *free(
            "output_dimension output_dtype embedding_type embedding_types normalize normalized",
            "the form of the vectors is not paid for",
        ),
        *free(
            "truncate truncation truncate_prompt_tokens input_type task late_chunking"
            " add_special_tokens keep_alive",
            "how a server reads input that is in the body",
        ),
        Field("service_tier", Meaning.PRICED, "each tier has rates of its own", only("default")),
        Field("messages", Meaning.OUTSIDE, "vLLM: another form of input, with images by address"),
    ]
)

_NOTHING: Final = msgspec.Raw(b"null")


class _Document(msgspec.Struct):
    """An answer without its vectors, which are skipped."""

    model: msgspec.Raw = _NOTHING
    usage: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


_DOCUMENT: Final = msgspec.json.Decoder(_Document)


class EmbeddingsCodec:
    """The dialect of `/v1/embeddings`."""

    def parse(
        self, body: bytes, *, path_model: str = "", path_stream: bool = False
    ) -> LocatedRequest:
        """Read a request strictly. Raises PeerError `request_malformed`."""
        del path_model, path_stream  # this dialect has both in the body
        found = strict_json.spans(body)
        findings = Findings()
        FIELDS.refuse_lookalikes(found)
        FIELDS.collect(body, found, findings)
        if flag_of(body, found, "stream"):
            strict_json.refuse("embeddings cannot be streamed")
        inputs = _read_input(body, found, findings)
        return located(Dialect.EMBEDDINGS, body, found, findings, inputs)

    def rewrite(
        self, request: ModelRequest, *, model: str, output_limit: int | None, inject_usage: bool
    ) -> bytes:
        """Give the body to send: only the model may change, as there is no output to limit."""
        del output_limit, inject_usage
        edits = model_edits(request, spans_of(request), model)
        return strict_json.replace(request.body, edits)

    def read(self, body: bytes) -> Answer:
        """Read a whole answer. Raises PeerError `provider_malformed`."""
        try:
            stated = _DOCUMENT.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PeerError("provider_malformed", "the provider's answer is not JSON") from error
        usage = record(decode(stated.usage))
        return Answer(
            usage=read_usage({"completion_tokens": 0, **usage} if usage else None),
            response_model=text(decode(stated.model)),
            error=error_name(decode(stated.error)),
        )

    def stream(self, request: ModelRequest) -> NoReturn:
        """There are no streams; `parse` has refused to ask for one."""
        del request
        raise PeerError("request_malformed", "embeddings cannot be streamed")

    def error_body(self, status: int, reason: Reason) -> bytes:
        """The dialect's error document for a refusal of ours."""
        return refusal.error_body(Dialect.EMBEDDINGS, status, reason)

    def stream_stop(self, reason: Reason) -> bytes:
        """As in the other dialects of this provider."""
        return sse.write(msgspec.json.encode({"error": refusal.openai_error(reason)}))

    def stream_comment(self) -> bytes:
        """As in the other dialects of this provider."""
        return sse.COMMENT


def _read_input(
    body: bytes, found: dict[str, Span], findings: Findings
) -> tuple[tuple[bytes, ...], tuple[Span, ...]]:
    """The texts to embed; tokens given as numbers count as one text."""
    if "input" not in found:
        strict_json.refuse("`input` is missing")
    span = found["input"]
    if not body.startswith(b"[", span[0]):
        strict_json.text(body[span[0] : span[1]], "input")
        return cut(body, [span])
    places = strict_json.elements(body, *span)
    if all(body.startswith(b'"', start) for start, _ in places):
        return cut(body, places)
    if any(body.startswith(b"{", start) for start, _ in places):
        findings.outside.append(feature("input"))  # images and documents, perhaps by address
    return cut(body, [span])
