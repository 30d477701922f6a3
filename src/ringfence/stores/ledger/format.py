"""Read leaves of every format version that was ever written."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from ringfence.domain.error import UsageError
from ringfence.domain.event import AnyEvent

_DECODERS: Final[Mapping[int, Callable[[bytes], AnyEvent]]] = {
    1: msgspec.json.Decoder(AnyEvent).decode,
}
"""INVARIANT: entries are added, never removed: written events are never rewritten."""


class _Head(msgspec.Struct):
    format: int


_head = msgspec.json.Decoder(_Head).decode


def decode(leaf: bytes) -> AnyEvent:
    """Read a leaf. Raises UsageError `event_format_unknown` or `event_unreadable`."""
    try:
        version = _head(leaf).format
        decoder = _DECODERS.get(version)
        if decoder is not None:
            return decoder(leaf)
    except msgspec.MsgspecError as error:
        raise UsageError(
            "event_unreadable",
            f"an event of the ledger cannot be read: {error}",
            help="`ringfence audit verify` tells whether the ledger was altered",
        ) from error
    raise UsageError(
        "event_format_unknown",
        f"an event has format {version}, this version of Ringfence knows up to {max(_DECODERS)}",
        help="read it with the newer version of Ringfence that wrote it",
    )
