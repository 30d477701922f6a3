"""Which path of the model gateway speaks which dialect."""

import re
from dataclasses import dataclass

from ringfence.domain.model import Dialect, ProviderProtocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One model endpoint as a request named it.

    `path_model` and `path_stream` are filled where the dialect puts them into the path (Gemini);
    `upstream_path` is relative to the provider's base URL, with `{model}` for the upstream's name.
    """

    dialect: Dialect
    protocol: ProviderProtocol
    upstream_path: str
    path_model: str = ""
    path_stream: bool = False


_FIXED = {
    b"/v1/chat/completions": Endpoint(
        dialect=Dialect.CHAT, protocol=ProviderProtocol.OPENAI, upstream_path="/chat/completions"
    ),
    b"/v1/responses": Endpoint(
        dialect=Dialect.RESPONSES, protocol=ProviderProtocol.OPENAI, upstream_path="/responses"
    ),
    b"/v1/embeddings": Endpoint(
        dialect=Dialect.EMBEDDINGS, protocol=ProviderProtocol.OPENAI, upstream_path="/embeddings"
    ),
    b"/v1/messages": Endpoint(
        dialect=Dialect.MESSAGES, protocol=ProviderProtocol.ANTHROPIC, upstream_path="/v1/messages"
    ),
    b"/v1/messages/count_tokens": Endpoint(
        dialect=Dialect.COUNT_TOKENS,
        protocol=ProviderProtocol.ANTHROPIC,
        upstream_path="/v1/messages/count_tokens",
    ),
}

_GEMINI = re.compile(
    rb"/(?P<version>v1|v1beta)/models/(?P<model>[A-Za-z0-9._:@/-]{1,200}):(?P<verb>generateContent|streamGenerateContent)"
)

_LISTING_PATHS = frozenset({b"/v1/models", b"/v1beta/models"})
_LISTING_ITEM = re.compile(rb"/(?:v1|v1beta)/models/(?P<model>[A-Za-z0-9._:@/-]{1,200})")


def find(path: bytes) -> Endpoint | None:
    """The endpoint of a raw request path; None if no model endpoint has that path."""
    fixed = _FIXED.get(path)
    if fixed is not None:
        return fixed
    match = _GEMINI.fullmatch(path)
    if match is None:
        return None
    verb = match["verb"].decode()
    return Endpoint(
        dialect=Dialect.GEMINI,
        protocol=ProviderProtocol.GEMINI,
        upstream_path=f"/{match['version'].decode()}/models/{{model}}:{verb}",
        path_model=match["model"].decode(),
        path_stream=verb == "streamGenerateContent",
    )


def is_listing(path: bytes) -> bool:
    """Whether a path lists models, or shows one of them."""
    return path in _LISTING_PATHS or _LISTING_ITEM.fullmatch(path) is not None


def listed_model(path: bytes) -> str | None:
    """The model that a request for one entry of the listing names."""
    match = _LISTING_ITEM.fullmatch(path)
    return match["model"].decode() if match else None


def dialect_of(path: bytes) -> Dialect:
    """The dialect to word an error in, for any path: the nearest that a client there would read."""
    if path.startswith(b"/v1/messages"):
        return Dialect.MESSAGES
    if path.startswith(b"/v1beta") or _GEMINI.fullmatch(path):
        return Dialect.GEMINI
    endpoint = _FIXED.get(path)
    return endpoint.dialect if endpoint else Dialect.CHAT
