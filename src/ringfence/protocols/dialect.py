"""What every model dialect offers to the model gateway: one shape, four wire forms."""

from typing import Protocol

from ringfence.domain.exchange import Answer, ModelRequest, Reading
from ringfence.domain.verdict import Reason


class AnswerStream(Protocol):
    """Reads a stream while it passes; one object for one answer."""

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the provider, in any split, and give the bytes to forward."""

    def flush(self) -> bytes:
        """Give what is still held back when the provider's stream ends."""

    @property
    def output_floor_tokens(self) -> int:
        """A number of output tokens that the stream has certainly passed."""

    @property
    def is_complete(self) -> bool:
        """Whether the dialect's own end of stream was seen."""

    def take_said(self) -> list[tuple[int, str]]:
        """The pieces of output since this was last asked, each with the answer it belongs to."""

    def answer(self) -> Answer:
        """What was learned; usable at any time, also after a cut."""


class Codec(Protocol):
    """One dialect."""

    def parse(
        self, body: bytes, *, path_model: str = "", path_stream: bool = False
    ) -> ModelRequest:
        """Read a request strictly (I8). Raises PeerError `request_malformed`."""

    def rewrite(
        self, request: ModelRequest, *, model: str, output_limit: int | None, inject_usage: bool
    ) -> bytes:
        """Give the body to send: every byte as it came except what is named here."""

    def read(self, body: bytes) -> Answer:
        """Read a whole (not streamed) answer. Raises PeerError `provider_malformed`."""

    def stream(self, request: ModelRequest) -> AnswerStream:
        """A fresh reader for the stream that answers this request."""

    def error_body(self, status: int, reason: Reason) -> bytes:
        """The dialect's error document for a refusal of ours."""

    def stream_stop(self, reason: Reason) -> bytes:
        """The dialect's in-stream error, well formed after any whole event."""

    def stream_comment(self) -> bytes:
        """A keep-alive that every client of this dialect ignores."""


class Reader(Protocol):
    """Makes stored bodies readable; lenient, used by traces only, never to decide."""

    def read_exchange(self, request: bytes, response: bytes, *, streamed: bool) -> Reading:
        """Read a stored request and its stored answer (JSON, or the raw stream)."""
