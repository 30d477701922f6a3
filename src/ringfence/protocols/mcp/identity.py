"""Who Ringfence says that it is, where it asks a server or answers a client by itself."""

from collections.abc import Mapping
from typing import Final

from ringfence import __version__
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import request as requests
from ringfence.protocols.mcp.version import LATEST, LATEST_LEGACY

IMPLEMENTATION: Final = b'{"name":"ringfence","title":"Ringfence","version":"%b"}' % (
    __version__.encode()
)
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
