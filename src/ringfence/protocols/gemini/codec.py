"""Gemini: requests of `generateContent` and `streamGenerateContent`, their answers and errors.

Source: https://ai.google.dev/api/generate-content and google-genai 3.4.0. The model stands in the
path, and so does whether the answer is a stream; streams are read in the form of `alt=sse`.
"""

from typing import Final

from ringfence.domain.exchange import Answer, ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Reason
from ringfence.protocols import refusal, sse, strict_json
from ringfence.protocols.field import Findings
from ringfence.protocols.gemini import content
from ringfence.protocols.gemini.answer import read_answer
from ringfence.protocols.gemini.field import CONFIG, FIELDS
from ringfence.protocols.gemini.spelling import by_camel_case
from ringfence.protocols.gemini.stream import GeminiStream
from ringfence.protocols.gemini.tool import read_tools
from ringfence.protocols.memo import Memo
from ringfence.protocols.request import LocatedRequest, count_of, cut, limit_of, spans_of
from ringfence.protocols.strict_json import Edit, Span

_NULL: Final = b"null"


class GeminiCodec:
    """The dialect of `/v1beta/models/…:generateContent` and `:streamGenerateContent`."""

    def __init__(self) -> None:
        """Keep one codec; it remembers tool lists between calls."""
        self._tools: Memo[Findings] = Memo(read_tools)

    def parse(
        self, body: bytes, *, path_model: str = "", path_stream: bool = False
    ) -> LocatedRequest:
        """Read a request strictly. Raises PeerError `request_malformed`."""
        found = dict(by_camel_case(strict_json.spans(body)))
        if "model" in found:
            strict_json.refuse("`model` stands in the path, not in the body")
        findings = Findings()
        FIELDS.collect(body, found, findings)
        config = _config_of(body, found)
        CONFIG.collect(body, config, findings)
        if _is_given(body, found, "tools"):
            known = self._tools.read(body[slice(*found["tools"])])
            findings.tools += known.tools
            findings.hosted += known.hosted
        if "contents" not in found:
            strict_json.refuse("`contents` is missing")
        span = found["contents"]
        messages, places = cut(body, strict_json.elements(body, *span))
        content.inspect(body[slice(*span)], messages, findings)
        if _is_given(body, found, "systemInstruction"):
            content.inspect_one(body[slice(*found["systemInstruction"])], findings)
        return LocatedRequest(
            dialect=Dialect.GEMINI,
            body=body,
            spans=found,
            model=path_model.removeprefix("models/"),
            stream=path_stream,
            output_limit=limit_of(body, config, "maxOutputTokens"),
            answers=count_of(body, config, "candidateCount") or 1,
            messages=messages,
            message_spans=places,
            tools=tuple(findings.tools),
            hosted_tools=tuple(findings.hosted),
            priced_fields=tuple(findings.priced),
            outside_inputs=tuple(findings.outside),
            provider_objects=tuple(findings.objects),
            images=findings.images,
            media=findings.media,
        )

    def rewrite(
        self, request: ModelRequest, *, model: str, output_limit: int | None, inject_usage: bool
    ) -> bytes:
        """Give the body to send: every byte as it came except the output limit.

        The model is written into the path, which is not done here.
        """
        del model, inject_usage
        body = request.body
        if output_limit is None or output_limit == request.output_limit:
            return body
        found = dict(by_camel_case(spans_of(request)))
        return strict_json.replace(body, _limit_edits(body, found, output_limit))

    def read(self, body: bytes) -> Answer:
        """Read a whole answer. Raises PeerError `provider_malformed`."""
        return read_answer(body)

    def stream(self, request: ModelRequest) -> GeminiStream:
        """A fresh reader for the stream that answers this request."""
        return GeminiStream(answers=request.answers)

    def error_body(self, status: int, reason: Reason) -> bytes:
        """The dialect's error document for a refusal of ours."""
        return refusal.error_body(Dialect.GEMINI, status, reason)

    def stream_stop(self, reason: Reason) -> bytes:
        """The in-stream error. google-genai raises it if it begins with `{"error":` (measured)."""
        return sse.write(self.error_body(refusal.status(reason), reason))

    def stream_comment(self) -> bytes:
        """An empty line. google-genai 3.4.0 takes a comment for JSON and fails on it (measured)."""
        return b"\n"


def _is_given(body: bytes, found: dict[str, Span], name: str) -> bool:
    return name in found and body[slice(*found[name])] != _NULL


def _config_of(body: bytes, found: dict[str, Span]) -> dict[str, Span]:
    """Where the members of `generationConfig` stand."""
    if not _is_given(body, found, "generationConfig"):
        return {}
    return dict(by_camel_case(strict_json.spans_within(body, *found["generationConfig"])))


def _limit_edits(body: bytes, found: dict[str, Span], output_limit: int) -> list[Edit]:
    value = strict_json.encode(output_limit)
    config = _config_of(body, found)
    if "maxOutputTokens" in config:
        return [(*config["maxOutputTokens"], value)]
    if _is_given(body, found, "generationConfig"):
        start, _ = found["generationConfig"]
        return [strict_json.insertion(body, start, "maxOutputTokens", value)]
    whole = b'{"maxOutputTokens":' + value + b"}"
    return strict_json.assign(body, found, "generationConfig", whole)
