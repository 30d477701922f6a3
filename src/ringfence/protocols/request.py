"""A model request that remembers where its members stand, so that rewriting need not look again."""

import msgspec

from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import Dialect
from ringfence.protocols import strict_json
from ringfence.protocols.field import Findings
from ringfence.protocols.strict_json import Edit, Span


class LocatedRequest(ModelRequest, frozen=True, kw_only=True):
    """What a codec's `parse` gives: `spans` holds where each top-level value of `body` stands."""

    spans: dict[str, Span]


def located(  # noqa: PLR0913 (the parts that a request is read in)
    dialect: Dialect,
    body: bytes,
    spans: dict[str, Span],
    findings: Findings,
    messages: tuple[tuple[bytes, ...], tuple[Span, ...]],
    *,
    stream: bool = False,
    output_limit: int | None = None,
    answers: int = 1,
    wants_usage: bool = False,
    hosted_uses: int | None = None,
) -> LocatedRequest:
    """Put together what was read; `hosted_uses` is a bound for all hosted tools together."""
    request = LocatedRequest(
        dialect=dialect,
        body=body,
        spans=spans,
        model=model_of(body, spans),
        stream=stream,
        output_limit=output_limit,
        answers=answers,
        messages=messages[0],
        message_spans=messages[1],
        tools=tuple(findings.tools),
        images=findings.images,
        media=findings.media,
        wants_usage=wants_usage,
    )
    if not findings.has_features:
        return request
    return msgspec.structs.replace(
        request,
        hosted_tools=tuple(findings.hosted),
        hosted_uses=_hosted_uses(findings) if hosted_uses is None else hosted_uses,
        priced_fields=tuple(findings.priced),
        outside_inputs=tuple(findings.outside),
        provider_objects=tuple(findings.objects),
        client_ids=tuple(findings.client_ids),
    )


def _hosted_uses(findings: Findings) -> int | None:
    """The sum of the bounds of each hosted tool, if each has one."""
    uses = findings.hosted_uses
    return sum(uses) if uses and len(uses) == len(findings.hosted) else None


def spans_of(request: ModelRequest) -> dict[str, Span]:
    """Where the members of a request stand."""
    if isinstance(request, LocatedRequest):
        return request.spans
    return strict_json.spans(request.body)


def model_of(body: bytes, spans: dict[str, Span]) -> str:
    """The model that a request names, which it must."""
    if "model" not in spans:
        strict_json.refuse("`model` is missing")
    start, end = spans["model"]
    return strict_json.text(body[start:end], "model")


def count_of(body: bytes, spans: dict[str, Span], name: str) -> int | None:
    """A count that a request may give; None if it is absent or null."""
    if name not in spans:
        return None
    start, end = spans[name]
    return strict_json.count(body[start:end], name)


def limit_of(body: bytes, spans: dict[str, Span], name: str) -> int | None:
    """An output limit; None if it is absent or null.

    Zero is refused: some servers take it for no limit at all.
    """
    limit = count_of(body, spans, name)
    if limit == 0:
        strict_json.refuse(f"`{name}` must be at least 1")
    return limit


def flag_of(body: bytes, spans: dict[str, Span], name: str) -> bool:
    """Whether a request says true; false if it is absent or null."""
    if name not in spans:
        return False
    start, end = spans[name]
    return strict_json.flag(body[start:end], name)


def model_edits(request: ModelRequest, spans: dict[str, Span], model: str) -> list[Edit]:
    """Name another model; no edit if the request names it already, in whatever spelling."""
    if request.model == model:
        return []
    return strict_json.assign(request.body, spans, "model", strict_json.encode(model))


def cut(body: bytes, places: list[Span]) -> tuple[tuple[bytes, ...], tuple[Span, ...]]:
    """The raw bytes of these places, and the places."""
    return tuple([body[start:end] for start, end in places]), tuple(places)
