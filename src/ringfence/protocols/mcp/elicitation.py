"""Elicitation: what a client can put before its user, and what we put there (pointers alone).

Sources: MCP 2025-06-18 and 2025-11-25, Client Features, Elicitation; 2026-07-28, the same, and
Multi Round-Trip Requests.
"""

from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import translation

METHOD: Final = "elicitation/create"
URL: Final = "url"
FORM: Final = "form"
URL_REQUIRED: Final = -32042
"""A server of 2025-11-25 needs its user to visit a page first; 2026-07-28 has no such error."""
_KEY: Final = "approval"
_MOST: Final = 20
"""Pages that one error may name."""


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    """One page that a server wants visited."""

    url: str
    message: str = ""
    elicitation_id: str = ""


class _Pages(msgspec.Struct, frozen=True):
    elicitations: list[_Page] = []


class _Capabilities(msgspec.Struct, frozen=True):
    elicitation: msgspec.Raw = msgspec.Raw(b"")


_pages: Final = msgspec.json.Decoder(_Pages)
_capabilities: Final = msgspec.json.Decoder(_Capabilities)


def modes(capabilities: bytes) -> frozenset[str]:
    """The ways in which a client can ask its user, from its raw capabilities.

    One that names no mode means forms, the only way that there was at first.
    """
    try:
        said = bytes(_capabilities.decode(capabilities or b"{}").elicitation)
        named = set(strict_json.spans(said)) if said[:1] == b"{" else None
    except (msgspec.DecodeError, UnicodeDecodeError, PeerError):
        return frozenset()
    if named is None:
        return frozenset()
    return frozenset(named & {URL, FORM}) or frozenset({FORM})


def pointer(capabilities: bytes, approval: str, told: str, page: str) -> bytes:
    """The raw params that point a user at a held call; empty if this client can show nothing.

    With a page the user is sent there; without one a form with nothing to fill in says where the
    call is answered. INVARIANT: no answer to either is a vote.
    """
    can = modes(capabilities)
    if page and URL in can:
        return msgspec.json.encode(
            {"mode": URL, "elicitationId": approval, "url": page, "message": told}
        )
    if FORM not in can:
        return b""
    said = f"{told} See {page}" if page else told
    empty = {"type": "object", "properties": {}}
    return msgspec.json.encode({"message": said, "requestedSchema": empty})


def pointing(params: bytes, state: str) -> bytes:
    """The modern result that shows them to the user, and lets the client ask again."""
    return translation.asking(_KEY, METHOD, params, state)


def required(data: bytes) -> bytes:
    """The modern result for the `data` of `URL_REQUIRED`; empty if it names no page.

    There is no state in it: the client makes the same request again when the user has been there.
    """
    asked = {
        f"page-{number}": {
            "method": METHOD,
            "params": {
                "mode": URL,
                "elicitationId": each.elicitation_id or f"page-{number}",
                "url": each.url,
                "message": each.message or "The tool server needs you to visit this page.",
            },
        }
        for number, each in enumerate(_read(data), 1)
    }
    if not asked:
        return b""
    return msgspec.json.encode({"resultType": translation.INPUT_REQUIRED, "inputRequests": asked})


def in_words(data: bytes) -> str:
    """The same for a client that cannot be shown pages: what its user must do, for the model."""
    pages = _read(data)
    named = [f"{each.url} ({each.message})" if each.message else each.url for each in pages]
    where = f": {'; '.join(named)}" if named else ""
    return f"The tool server needs your user to visit a page first{where}. Then call it again."


def _read(data: bytes) -> list[_Page]:
    """The pages that an error names; what is no address of the web is none."""
    try:
        pages = _pages.decode(data or b"{}").elicitations
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    return [each for each in pages if each.url.startswith(("https://", "http://"))][:_MOST]
