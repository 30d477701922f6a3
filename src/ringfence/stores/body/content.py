"""What a body is, and how it is cut into pieces that repeat and put together again."""

from enum import IntEnum

import msgspec


class Part(IntEnum):
    """Which side of an action a body belongs to."""

    REQUEST = 1
    RESPONSE = 2


class Body(msgspec.Struct, frozen=True):
    """The bytes of a message as an agent sent or received it.

    `spans` says where each of its conversation's messages stands (start, end), in order and not
    overlapping; without any the body is kept in one piece.
    """

    whole: bytes
    spans: tuple[tuple[int, int], ...] = ()


class Pieces(msgspec.Struct, frozen=True):
    """A body cut up: `envelope[:head]`, then every message, then `envelope[head:]`.

    Each message but the first carries the separator before it, so that nothing else need be kept.
    """

    envelope: bytes
    head: int
    messages: tuple[bytes, ...]


def cut(body: Body) -> Pieces:
    """Cut a body at its spans; spans that do not fit the bytes leave it whole."""
    whole, spans = body.whole, body.spans
    if not spans or not _fit(spans, len(whole)):
        return Pieces(whole, len(whole), ())
    head, end = spans[0][0], spans[-1][1]
    starts = (head, *(stop for _, stop in spans[:-1]))
    messages = tuple(whole[start:stop] for start, (_, stop) in zip(starts, spans, strict=True))
    return Pieces(whole[:head] + whole[end:], head, messages)


def join(pieces: Pieces) -> bytes:
    """The exact bytes that were cut."""
    envelope, head = pieces.envelope, pieces.head
    return b"".join((envelope[:head], *pieces.messages, envelope[head:]))


def _fit(spans: tuple[tuple[int, int], ...], length: int) -> bool:
    at = 0
    for start, stop in spans:
        if not at <= start <= stop <= length:
            return False
        at = stop
    return True
