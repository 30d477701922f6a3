"""A stream while it passes: forwarded as it comes, read on the way, cut when it must be."""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.event import Status
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.authority import Authority
from ringfence.gateways.relay import Relay
from ringfence.protocols.dialect import AnswerStream, Codec
from ringfence.transport.clock import Clock
from ringfence.transport.http import Response, UpstreamResponse

_LOG = logging.getLogger(__name__)

Guard = Callable[[int], Reason | None]
"""Given the output tokens that have certainly passed: None to go on, or why the stream must end."""

Inspect = Callable[[bytes], Reason | None]
"""Given what is about to be forwarded: None to go on, or why it must not be seen by anybody."""

KEPT_BYTES_MAX = 8 * 1024 * 1024
"""How much of an answer is kept for the record; more than any model's longest answer in text."""

LINGER_S = 1.0
"""How long a provider may keep a stream open after its dialect's own end; Gemini may still state
the usage then, and a connection that ends by itself can be used again."""


class Passage(msgspec.Struct, kw_only=True):
    """How a stream ended."""

    status: Status
    error: str = ""
    first_byte_us: int = 0
    body: bytes = b""
    """The bytes forwarded to the agent, up to `KEPT_BYTES_MAX`."""
    stop: Reason | None = None


Tell = Callable[[Passage], None]


class StreamRelay(Relay):
    """The sink between a provider's stream and the agent; one object for one answer.

    An agent that leaves does not end the reading: what was ordered is paid for, so the rest is
    drained for at most `drain_s` to learn the real price.
    """

    def __init__(  # noqa: PLR0913 (the parts that one relay joins)
        self,
        *,
        upstream: UpstreamResponse,
        response: Response,
        reader: AnswerStream,
        codec: Codec,
        guard: Guard,
        inspect: Inspect,
        clock: Clock,
        drain_s: float,
        linger_s: float = LINGER_S,
        authority: Authority | None = None,
    ) -> None:
        """Join an upstream's body to a response that has been started."""
        super().__init__(upstream, authority or Authority(clock))
        self._response = response
        self._reader = reader
        self._codec = codec
        self._guard = guard
        self._inspect = inspect
        self._clock = clock
        self._drain_s = drain_s
        self._linger_s = linger_s
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._first_byte_us = 0
        self._gone = False
        self._drain_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._tell: Tell | None = None

    def begin(self, tell: Tell) -> None:
        """Relay until the stream ends, is cut or cannot go on; then tell how, once."""
        self._tell = tell
        self._response.on_pause(self._pause, self._upstream.resume)
        self._response.on_disconnect(self._client_left)
        self._upstream.pipe(self)

    def abandon(self) -> None:
        """Stop at once and tell nobody."""
        self._tell = None
        self._is_done = True
        self._let_go()

    def data(self, chunk: bytes) -> None:
        """Some bytes of the provider's stream."""
        if self._is_done or self._is_withheld(chunk):
            return
        if not self._first_byte_us:
            self._first_byte_us = self._clock.monotonic_us()
        try:
            out = self._reader.feed(chunk)
            stop = self._guard(self._reader.output_floor_tokens)
            if stop is None and out:
                stop = self._inspect(out)
            if stop is not None:
                self.cut(stop)
            elif out:
                self._forward(out)
            if self._reader.is_complete and self._linger_timer is None:
                self._linger_timer = self._loop.call_later(self._linger_s, self.end)
        except PeerError as error:
            self._upstream.close()
            self.failed(error)
        except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected ends the stream)
            self._broke()

    def end(self) -> None:
        """The provider finished, or its answer did and the connection does not."""
        if self._is_done:
            return
        if self._is_withheld():
            self._has_ended = True
            return
        try:
            rest = self._reader.flush()
            stop = self._inspect(rest) if rest else None
            if stop is not None:
                self.cut(stop)
                return
            if rest:
                self._forward(rest)
            if not self._gone:
                self._response.end()
        except Exception:  # noqa: BLE001 (as above)
            self._broke()
            return
        complete = self._reader.is_complete
        status = Status.OK if complete else Status.FAILED
        self._finish(
            Status.CLIENT_GONE if self._gone and complete else status,
            "" if complete else "stream_incomplete",
        )

    def failed(self, error: Exception) -> None:
        """The provider's stream broke off; the agent must see a cut and not an end."""
        if self._is_done:
            return
        if not self._gone:
            self._response.abort()
        self._finish(Status.FAILED, str(getattr(error, "code", "provider_unavailable")))

    def stop(self, reason: Reason) -> None:
        """End the stream from outside, for example because the agent was suspended."""
        if not self._is_done:
            self.cut(reason)

    def _forward(self, data: bytes) -> None:
        if self._kept_bytes < KEPT_BYTES_MAX:
            self._kept.append(data)
            self._kept_bytes += len(data)
        if not self._gone:
            self._response.write(data)

    def cut(self, reason: Reason) -> None:
        """End after the last whole event; what is held of the next one is never sent.

        Without authority not a byte is written: the connection is cut.
        """
        if self._authority.is_fresh:
            self._forward(self._codec.stream_stop(reason))
            if not self._gone:
                self._response.end()
        elif not self._gone:
            self._response.abort()
        self._upstream.close()
        self._finish(Status.CUT, reason.code.value, reason)

    def _broke(self) -> None:
        """Something of ours failed: the agent must see a cut and not an end."""
        _LOG.exception("a stream failed unexpectedly and was cut")
        self._upstream.close()
        if not self._gone:
            self._response.abort()
        if not self._is_done:
            self._finish(Status.FAILED, Code.INTERNAL.value)

    def _pause(self) -> None:
        if not self._gone:
            self._upstream.pause()

    def _client_left(self) -> None:
        if self._is_done:
            return
        self._gone = True
        self._upstream.resume()
        self._drain_timer = self._loop.call_later(self._drain_s, self._give_up)

    def _give_up(self) -> None:
        if not self._is_done:
            self._finish(Status.CLIENT_GONE, "drain_timeout")

    def _finish(self, status: Status, error: str, stop: Reason | None = None) -> None:
        self._is_done = True
        self._let_go()
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(
                Passage(
                    status=status,
                    error=error,
                    first_byte_us=self._first_byte_us,
                    body=b"".join(self._kept),
                    stop=stop,
                )
            )

    def _let_go(self) -> None:
        for timer in (self._drain_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        self._upstream.close()
