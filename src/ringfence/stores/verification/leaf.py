"""What verification must know of an event, read as quickly as can be."""

from typing import Final

import msgspec

from ringfence.stores.body import Part


class Head(msgspec.Struct):
    """The fields of any event, of whatever format, that are checked."""

    kind: str
    log: str = ""
    sequence: int = 0
    organisation: str = ""
    time_us: str = "0"
    action: str = ""
    subject: str = ""
    body: str = ""
    status: str = ""

    @property
    def about(self) -> str:
        """What the event is about; under this its body is stored."""
        return self.action or self.subject

    @property
    def part(self) -> Part:
        """Which side of the action its body is."""
        return Part.RESPONSE if self.kind == "outcome" else Part.REQUEST


read_head: Final = msgspec.json.Decoder(Head).decode


def describe(leaf: bytes) -> tuple[str, int]:
    """What a leaf is about and the sequence it states; empty and 0 if it cannot be read."""
    try:
        head = read_head(leaf)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "", 0
    return f"{head.kind} {head.about}", head.sequence
