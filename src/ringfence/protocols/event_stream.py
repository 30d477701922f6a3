"""A stream of events that is read while it passes; what each event means is a dialect's matter."""

from abc import ABC, abstractmethod
from typing import Final

from ringfence.domain.error import PeerError
from ringfence.protocols.sse import Splitter

MALFORMED: Final = "provider_malformed"

LONGEST_TOKEN: Final = 128
"""No token of a public tokenizer stands for more characters (cl100k and o200k: 128 spaces)."""


class EventStream(ABC):
    """Forwards whole events as they came; holds back only the beginning of the next one.

    A stop of ours can so be written at any time. After the dialect's own end nothing more passes.
    An event too long to be held ends the stream: what cannot be read cannot be bounded.
    """

    __slots__ = ("_characters", "_error", "_is_complete", "_said", "_splitter", "_steps")

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self._splitter = Splitter()
        self._is_complete = False
        self._error = ""
        self._steps = 0
        """Pieces of output seen that were not empty; a token makes at most one."""
        self._characters = 0
        """Characters of output seen."""
        self._said: list[tuple[int, str]] = []

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the provider, in any split, and give the bytes to forward.

        Raises PeerError `provider_malformed` for an event that does not end.
        """
        if self._is_complete:
            return b""
        try:
            events = self._splitter.feed(data)
        except PeerError:
            self._error = MALFORMED
            self._splitter.rest()
            raise
        if len(events) == 1:
            return events[0] if self._take(events[0]) else b""
        return b"".join([event for event in events if self._passes(event)])

    def flush(self) -> bytes:
        """Give what is held of an event that the end of the stream has cut off.

        It is read like a whole one, because some servers leave out the last blank line.
        """
        rest = self._splitter.rest()
        return rest if rest and self._passes(rest) else b""

    @property
    def output_floor_tokens(self) -> int:
        """A number of output tokens that the stream has certainly passed."""
        return max(self._steps, self._characters // LONGEST_TOKEN)

    @property
    def is_complete(self) -> bool:
        """Whether the dialect's own end of stream was seen."""
        return self._is_complete

    def _passes(self, event: bytes) -> bool:
        return not self._is_complete and self._take(event)

    @abstractmethod
    def _take(self, event: bytes) -> bool:
        """Learn from one event; whether it is forwarded."""

    def take_said(self) -> list[tuple[int, str]]:
        """The pieces of output since this was last asked, each with the answer it belongs to."""
        said, self._said = self._said, []
        return said

    def _count(self, piece: object, answer: int = 0) -> None:
        """Count a piece of output of one of the answers."""
        if piece and isinstance(piece, str):
            self._steps += 1
            self._characters += len(piece)
            self._said.append((answer, piece))
