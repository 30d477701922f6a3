"""What opening a channel is, however its server is reached: once for all who wait, then greeted."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, final

from ringfence.domain.error import PeerError, RingfenceError
from ringfence.gateways.tool.asking import FailedError, Reply, ask
from ringfence.gateways.tool.channel import Failure, Pending, Sending, Taker
from ringfence.protocols.mcp import message
from ringfence.protocols.mcp.error import McpError


@final
class Opening:
    """Opens a channel once for all who wait; one that failed is tried again by whoever is next."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`begin` opens it. Nothing is begun yet."""
        self._begin = begin
        self._task: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Open it, or wait for whoever does; who leaves does not end it. Raises what `begin` does.

        What is raised is raised to all who wait.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._begin(), name="open a channel")
            self._task.add_done_callback(self._done)
        await asyncio.shield(self._task)

    def cancel(self) -> None:
        """Nobody needs it any more."""
        if self._task is not None:
            self._task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # whoever waits is told


class Unsent(Pending, Protocol):
    """A request that is not sent yet."""

    def send(self) -> None:
        """Send it now, greeted or not."""


class Greeted(Protocol):
    """What is needed of a channel to greet its server."""

    def number(self) -> bytes:
        """A raw id that no other request on this channel has."""

    def unsent(self, sending: Sending, taker: Taker, /) -> Unsent:
        """A request that waits for no greeting."""


async def greet(channel: Greeted, introduction: bytes, timeout_s: float) -> Reply:
    """Ask for a session of the legacy era; the answer may be an error. Raises RingfenceError.

    `introduction` is the raw `params` of `initialize`.
    """
    number = channel.number()
    body = message.request(number, "initialize", introduction)
    sending = Sending(body=body, number=number, method="initialize")
    try:
        return await ask(_Ungreeted(channel), sending, timeout_s)
    except FailedError as error:
        raise error.failure.error from error


async def not_opened(opening: Coroutine[Any, Any, None]) -> Failure | None:
    """Open a channel for a request; what that request has failed with, if it cannot be."""
    try:
        await opening
    except McpError as error:
        what = f"the tool server refused the session: {error.message}"
        return Failure(error=PeerError("provider_malformed", what), was_sent=False)
    except RingfenceError as error:
        return Failure(error=error, was_sent=False)
    return None


@final
class _Ungreeted:
    """The channel as it is before its greeting: what is sent here needs none."""

    def __init__(self, channel: Greeted) -> None:
        self._channel = channel

    def call(self, sending: Sending, taker: Taker) -> Pending:
        call = self._channel.unsent(sending, taker)
        call.send()
        return call
