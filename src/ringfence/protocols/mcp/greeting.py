"""What is read of a legacy server's greeting."""

from typing import Final

import msgspec

from ringfence.domain.error import PeerError


class _Greeting(msgspec.Struct):
    protocolVersion: str = ""  # noqa: N815 (the protocol's name)
    capabilities: msgspec.Raw = msgspec.Raw(b"{}")


class Greeted(msgspec.Struct, frozen=True, kw_only=True):
    """The revision that was agreed, and what the server declares, raw."""

    version: str
    capabilities: bytes


_greeting: Final = msgspec.json.Decoder(_Greeting)


def read_greeting(result: bytes) -> Greeted:
    """Read the result of `initialize`. Raises PeerError `provider_malformed`."""
    try:
        read = _greeting.decode(result)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = "the tool server's greeting cannot be read"
        raise PeerError("provider_malformed", what) from error
    return Greeted(version=read.protocolVersion, capabilities=bytes(read.capabilities))
