"""Asks a tool server for coroutines, where nobody's request is passed on."""

import asyncio
from typing import Protocol, final

import msgspec

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.gateways.tool.channel import Failure, Heard, How, Pending, Sending, Taker
from ringfence.protocols.mcp.message import Envelope


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A server's answer, and how it came."""

    raw: bytes
    result: bytes
    error: bytes
    how: How

    @property
    def status(self) -> int:
        """HTTP's."""
        return self.how.status


@final
class Waiter:
    """A `channel.Taker` for a coroutine."""

    def __init__(self, heard: Heard | None = None) -> None:
        """`heard` is told of what comes before the answer."""
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._heard = heard

    def said(self, raw: bytes, envelope: Envelope) -> None:
        """Pass it on, if somebody listens."""
        if self._heard is not None:
            self._heard(raw, envelope)

    def marked(self, _event_id: bytes, _retry_ms: int | None, *, is_alone: bool) -> None:
        """Nobody resumes."""

    def paused(self) -> None:
        """The rest is waited for."""

    def replied(self, raw: bytes, envelope: Envelope, how: How) -> None:
        """Done."""
        if not self.future.done():
            result, error = bytes(envelope.result), bytes(envelope.error)
            self.future.set_result(Reply(raw=raw, result=result, error=error, how=how))

    def lost(self, failure: Failure) -> None:
        """Done for."""
        if not self.future.done():
            self.future.set_exception(FailedError(failure))


class FailedError(Exception):
    """A server gave no answer; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        """Carries the failure to whoever waits."""
        super().__init__(failure.error.message)
        self.failure = failure


class Asked(Protocol):
    """What is needed of a channel."""

    def call(self, sending: Sending, taker: Taker, /) -> Pending:
        """Send a request."""


async def ask(
    channel: Asked, sending: Sending, timeout_s: float, heard: Heard | None = None
) -> Reply:
    """Send a request and wait for its answer. Raises FailedError."""
    waiter = Waiter(heard)
    pending = channel.call(sending, waiter)
    try:
        async with asyncio.timeout(timeout_s):
            return await waiter.future
    except TimeoutError:
        pending.cancel("it took too long")
        raise FailedError(late(timeout_s)) from None
    except asyncio.CancelledError:
        pending.cancel("nobody waits any more")
        raise


def late(timeout_s: float) -> Failure:
    """A server that has not answered in time."""
    what = f"the tool server did not answer within {timeout_s:g} seconds"
    error: RingfenceError = UnavailableError("provider_timeout", what)
    return Failure(error=error)
