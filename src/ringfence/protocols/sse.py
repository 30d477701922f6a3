"""Server-sent events: bytes in any split into whole events, and events into bytes.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (sections 9.2.5, 9.2.6).
An event here is the exact bytes up to and including the blank line that ends it, so that events
joined give what was fed. A blank line left over from a mixed ending stands before the next event.
"""

import re
from typing import NamedTuple

from ringfence.domain.error import PeerError

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Bounds what is held back; generated images come as single events of some megabytes."""

_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_LONGEST_END = 4


class Event(NamedTuple):
    """What an event says: its `event:` name (empty if it has none) and its joined `data:`.

    `data` is None for comments and other blocks without data, which clients ignore.
    """

    name: bytes
    data: bytes | None


class Splitter:
    """Cuts a stream into whole events and holds the beginning of the next one."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Give the events that these bytes complete.

        Raises PeerError `provider_malformed` when an event does not end.
        """
        if not self._held and data.endswith(b"\n\n") and b"\r" not in data:
            if data.find(b"\n\n") == len(data) - 2:
                return [data]
            return [part + b"\n\n" for part in data[:-2].split(b"\n\n")]
        return self._search(data)

    def rest(self) -> bytes:
        """Give what is held and forget it; the end of the stream has come."""
        held = bytes(self._held)
        self._held.clear()
        return held

    def _search(self, data: bytes) -> list[bytes]:
        held = self._held
        at = max(0, len(held) - _LONGEST_END)
        held += data
        events: list[bytes] = []
        done = 0
        for end in _END.finditer(held, at):
            # A carriage return at the very end may still be half of a line ending.
            if end.end() == len(held) and held.endswith(b"\r"):
                break
            events.append(bytes(held[done : end.end()]))
            done = end.end()
        del held[:done]
        if len(held) > MAX_EVENT_BYTES:
            raise PeerError("provider_malformed", "an event of the stream does not end")
        return events


def data_of(event: bytes) -> bytes | None:
    """Read one event whose name does not matter."""
    # As almost every server writes it: one line of data, perhaps after one line with the name.
    start = event.find(b"\n") + 1 if event.startswith(b"event: ") else 0
    if event.startswith(b"data: ", start) and b"\r" not in event:
        at = start + 6
        if event.find(b"\n", at) == len(event) - 2:
            return event[at:-2]
    return read(event).data


def read(event: bytes) -> Event:
    """Read one event."""
    name = b""
    data: list[bytes] = []
    for line in _LINE_END.split(event.removeprefix(_BOM)):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(name, b"\n".join(data) if data else None)


class Mark(NamedTuple):
    """What an event says of its place in a stream that can be resumed."""

    id: bytes
    retry_ms: int | None


def mark(event: bytes) -> Mark:
    """Read an event's `id:` (empty if it has none) and `retry:` (None if it is no number)."""
    found = b""
    retry_ms: int | None = None
    for line in _LINE_END.split(event.removeprefix(_BOM)):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"id" and b"\0" not in value:
            found = value
        elif field == b"retry" and value.isdigit():
            retry_ms = int(value)
    return Mark(found, retry_ms)


def write(data: bytes, name: bytes = b"") -> bytes:
    """Write one event whose data are a single line."""
    if name:
        return b"event: " + name + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"


COMMENT = b": keep-alive\n\n"
"""A block without data: keeps a connection alive and is ignored by every client."""
