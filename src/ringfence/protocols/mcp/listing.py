"""Lists of tools, resources and prompts: read, filtered, renamed and put together again."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import name as names

MEMBER: Final[Mapping[str, str]] = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
}
"""The member of a result that holds the list, by method."""
PAGES_MOST: Final = 100


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list: its raw entries, and the cursor of the next."""

    entries: tuple[bytes, ...]
    cursor: str = ""


def read(result: bytes, method: str) -> Page:
    """Read a page. Raises PeerError `provider_malformed`."""
    try:
        parts = strict_json.spans(result)
        span = parts.get(MEMBER[method])
        found = () if span is None else tuple(strict_json.elements(result, *span))
        cursor = parts.get("nextCursor")
        following = "" if cursor is None else _text(result[cursor[0] : cursor[1]])
    except PeerError as error:
        what = f"the tool server's list cannot be read: {error.message}"
        raise PeerError("provider_malformed", what) from error
    return Page(entries=tuple(result[a:b] for a, b in found), cursor=following)


def write(result: bytes, method: str, entries: Iterable[bytes], cursor: str, own: bytes) -> bytes:
    """A page with other entries and another cursor; what else it says stays.

    `own` are members that replace those of their names, raw and without braces.
    """
    parts = strict_json.spans(result) if result else {}
    written = {key: result[start:end] for key, (start, end) in parts.items()}
    written[MEMBER[method]] = b"[%b]" % b",".join(entries)
    written.pop("nextCursor", None)
    if cursor:
        written["nextCursor"] = strict_json.encode(cursor)
    for key, (start, end) in strict_json.spans(b"{%b}" % own).items():
        written[key] = (b"{%b}" % own)[start:end]
    return b"{%b}" % b",".join(strict_json.encode(k) + b":" + v for k, v in written.items())


def renamed(entry: bytes, server: str) -> bytes:
    """An entry under the name that it has at `/mcp`."""
    span = strict_json.spans(entry).get("name")
    if span is None:
        return entry
    name = names.merged(server, _text(entry[span[0] : span[1]]))
    return strict_json.replace(entry, [(*span, strict_json.encode(name))])


def member(entry: bytes, name: str) -> str:
    """A text of an entry; empty if it has none."""
    span = strict_json.spans(entry).get(name)
    return "" if span is None else _text(entry[span[0] : span[1]])


def _text(raw: bytes) -> str:
    try:
        return strict_json.text(raw, "name")
    except PeerError:
        return ""
