"""The answer of an upstream: its head, and its body pulled or pushed."""

from typing import Protocol

from ringfence.domain.error import PeerError
from ringfence.transport.body import Body, Source
from ringfence.transport.http import Headers, Sink


class Line(Source, Protocol):
    """The connection that an answer comes from."""

    address: str
    """Where it leads."""

    def give_up(self) -> None:
        """Close at once."""


class Answer(Body):
    """Implements `http.UpstreamResponse`."""

    __slots__ = (
        "_is_ended",
        "_is_paused",
        "_line",
        "_sink",
        "headers",
        "status",
    )

    def __init__(self, line: Line, status: int, headers: Headers, length: int | None) -> None:
        """A head that was checked."""
        Body.__init__(self, line, length)
        self._line = line
        self.status = status
        self.headers = headers
        self._is_paused = False
        self._is_ended = False
        self._sink: Sink | None = None

    def too_large(self, limit_bytes: int) -> Exception:
        """The error for a body over its reader's limit."""
        return PeerError("provider_malformed", f"the answer is larger than {limit_bytes} bytes")

    @property
    def address(self) -> str:
        """The address that it came from."""
        return self._line.address

    def at_once(self) -> bytes | None:
        """All of the body, if it is there and nobody was given any of it."""
        if not self.is_complete or self._is_ended or self._sink is not None:
            return None
        self._is_ended = True
        return self._take()

    def pipe(self, sink: Sink) -> None:
        """Push the body into a sink, beginning with what has already arrived."""
        self._sink = sink
        self._flow()

    def pause(self) -> None:
        """Stop reading from the upstream until `resume`."""
        if not self._is_paused:
            self._is_paused = True
            self._hold()

    def resume(self) -> None:
        """Go on reading."""
        if self._is_paused:
            self._is_paused = False
            self._flow()

    def close(self) -> None:
        """Give up the rest and the connection. Harmless after the end."""
        self._sink = None
        self._parts.clear()
        if not self.is_complete and self._error is None:
            self.fail(ConnectionAbortedError("the answer was given up"))
            self._line.give_up()

    # From the connection

    def arrive(self, data: bytes) -> None:
        """Take in some bytes."""
        if self._sink is None or self._is_paused:
            Body.arrive(self, data)
        else:
            self._sink.data(data)

    def finish(self) -> None:
        """The body is complete."""
        Body.finish(self)
        self._is_held = False
        if self._sink is not None:
            self._push()

    def fail(self, error: Exception) -> None:
        """The body broke off. What came before is still given."""
        super().fail(error)
        self._push()

    def _flow(self) -> None:
        """Push what has waited and read on, unless the sink has had enough of it."""
        self._push()
        if not self._is_paused:
            self._release()

    def _push(self) -> None:
        sink = self._sink
        if sink is None or self._is_paused:
            return
        if self._parts:
            sink.data(self._take())
        if not self._parts:
            self._push_end(sink)

    def _push_end(self, sink: Sink) -> None:
        """Tell the sink how it ended, unless the sink paused or closed meanwhile."""
        if self._is_ended or self._is_paused or self._sink is None:
            return
        if self.is_complete:
            self._is_ended = True
            self._sink = None  # it leads back here: no cycle may keep an answer alive
            sink.end()
        elif self._error is not None:
            self._is_ended = True
            self._sink = None
            sink.failed(self._error)
