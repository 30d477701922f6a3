"""Who Ringfence says that it is, where it asks a server or answers a client by itself."""

from collections.abc import Mapping
from typing import Final

import msgspec

from ringfence import __version__
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import request as requests
from ringfence.protocols.mcp.version import LATEST, LATEST_LEGACY

IMPLEMENTATION: Final = b'{"name":"ringfence","title":"Ringfence","version":"%b"}' % (
    __version__.encode()
)
_LONGEST: Final = 120
OWN: Final[Mapping[str, bytes]] = {
    requests.VERSION: strict_json.encode(LATEST),
    requests.CLIENT: IMPLEMENTATION,
    requests.CAPABILITIES: b"{}",
}
"""`_meta` of a modern request that is our own."""
INTRODUCTION: Final = b'{"protocolVersion":"%b","capabilities":{},"clientInfo":%b}' % (
    LATEST_LEGACY.encode(),
    IMPLEMENTATION,
)
"""`params` of a legacy `initialize` that is our own."""


def params(meta: Mapping[str, bytes], members: Mapping[str, bytes] | None = None) -> bytes:
    """The parameters of a modern request, with this `_meta`."""
    written = b",".join(strict_json.encode(k) + b":" + v for k, v in meta.items())
    rest = b"".join(b"," + strict_json.encode(k) + b":" + v for k, v in (members or {}).items())
    return b'{"_meta":{%b}%b}' % (written, rest)


class _Named(msgspec.Struct, frozen=True):
    name: str = ""
    version: str = ""


class _Meta(msgspec.Struct, frozen=True):
    server: _Named = msgspec.field(name="io.modelcontextprotocol/serverInfo", default=_Named())


class _Introduced(msgspec.Struct, frozen=True):
    server: _Named = msgspec.field(name="serverInfo", default=_Named())
    meta: _Meta = msgspec.field(name="_meta", default=_Meta())


def server_of(*results: bytes) -> str:
    """What a server says that it is, `name version`, by the first result that tells; else empty.

    Modern servers say so in the `_meta` of each result, legacy ones when they are greeted.
    """
    for result in results:
        try:
            introduced = msgspec.json.decode(result or b"{}", type=_Introduced)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        for each in (introduced.meta.server, introduced.server):
            if each.name or each.version:
                return f"{each.name} {each.version}".strip()[:_LONGEST]
    return ""
