"""Channels to tool servers that are processes: one line for each message (2025-11-25, stdio)."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import Final, final

import msgspec

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.tool import ToolServer
from ringfence.enforcement.tool_dispatch import ToolDispatcher
from ringfence.gateways.tool.background import background
from ringfence.gateways.tool.channel import Failure, Heard, How, Sending, Taker, Wanted
from ringfence.gateways.tool.handshake import Opening, greet, not_opened
from ringfence.gateways.tool.standing import listen_params
from ringfence.protocols import strict_json
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import message, request
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.greeting import read_greeting
from ringfence.protocols.mcp.message import Envelope, Kind, open_envelope
from ringfence.protocols.mcp.version import LATEST, Era
from ringfence.transport.process import Child, Pace

_LOG = logging.getLogger(__name__)

_ANSWERED: Final = How(200, is_stream=False)
_PROGRESS: Final = "notifications/progress"
_LEAVING_S: Final = 10.0
"""How long calls may go on with a process whose secrets are no longer in force."""


class _Progress(msgspec.Struct):
    progressToken: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 (the protocol's name)


_progress: Final = msgspec.json.Decoder(_Progress)


@final
class ChildChannel:
    """Implements `channel.Channel` over a process of its own, started when first needed."""

    def __init__(  # noqa: PLR0913 (a channel has these parts)
        self,
        server: ToolServer,
        dispatcher: ToolDispatcher,
        era: Era,
        introduction: bytes,
        *,
        is_shared: bool,
        is_owned: bool,
    ) -> None:
        """`introduction` is the raw `params` of the legacy `initialize`."""
        self.server = server
        self.era = era
        self.is_shared = is_shared
        self.is_owned = is_owned
        self.version = LATEST if era is Era.MODERN else ""
        self.capabilities = b"{}"
        self.greeting = b""
        self._dispatcher = dispatcher
        self._introduction = introduction
        self._numbers = itertools.count(1)
        self._child: Child | None = None
        self._environment: Mapping[str, str] = {}
        self._generation: object = None
        self._leaving: asyncio.Event | None = None
        self._pace = Pace()
        self._opening = Opening(self._begin)
        self._is_greeted = False
        self._calls: dict[bytes, ChildCall] = {}
        self._tokens: dict[bytes, ChildCall] = {}
        self._standing: list[ChildStanding] = []
        self.used_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether its process runs, with the secrets in force, and has been greeted."""
        return self._is_greeted and self._is_current()

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for it or listens to it."""
        return not self._calls and not self._standing

    @property
    def pid(self) -> int:
        """Its process; 0 if none runs."""
        return 0 if self._child is None else self._child.pid

    def number(self) -> bytes:
        """A raw id that no other request on this channel has."""
        return b'"rf-%d"' % next(self._numbers)

    async def open(self) -> None:
        """Start its process and greet it, once for all who wait."""
        if self.is_open:
            return
        await self._opening.wait()

    def unsent(self, sending: Sending, taker: Taker) -> "ChildCall":
        """A request that waits for no greeting."""
        return ChildCall(self, sending, taker)

    def call(self, sending: Sending, taker: Taker) -> "ChildCall":
        """Send a request."""
        call = self.unsent(sending, taker)
        call.begin()
        return call

    async def tell(self, body: bytes) -> None:
        """Send a notification or an answer; dropped if the process has ended."""
        if self._child is not None:
            with contextlib.suppress(RingfenceError):
                self._child.send(_one_line(body))

    def listen(self, wanted: Wanted, heard: Heard) -> "ChildStanding":
        """Hear what it says by itself."""
        standing = ChildStanding(self, wanted, heard)
        self._standing.append(standing)
        standing.begin()
        return standing

    async def close(self) -> None:
        """End its process; it is started again if it is needed again."""
        self._opening.cancel()
        child, self._child = self._child, None
        self._is_greeted = False
        if child is not None:
            await child.stop()

    # From its calls

    def send(self, call: "ChildCall", body: bytes) -> None:
        """Write a request. Raises UnsentError."""
        if self._child is None:
            raise UnavailableError("provider_unavailable", "the tool server does not run")
        self.used_s = asyncio.get_running_loop().time()
        if b"progressToken" in body:
            body = call.with_own_token(body)
            self._tokens[call.token] = call
        self._calls[call.number] = call
        self._child.send(_one_line(body))

    def forget(self, call: "ChildCall") -> None:
        """Nobody waits for it any more."""
        self._calls.pop(call.number, None)
        self._tokens.pop(call.token, None)
        if self._leaving is not None and all(call.is_standing for call in self._calls.values()):
            self._leaving.set()

    def silence(self, standing: "ChildStanding") -> None:
        """Nobody hears it any more."""
        if standing in self._standing:
            self._standing.remove(standing)

    # From its process

    def line(self, data: bytes) -> None:
        """One message of the server; what is none is logged and dropped."""
        try:
            envelope = open_envelope(data)
            self._take(data, envelope)
        except RingfenceError as error:
            _LOG.warning("%s wrote a line that is no message: %s", self.server.name, error)

    def ended(self, why: str) -> None:
        """The process has gone: whoever waits is told, and it is started again when needed."""
        self._child = None
        self._is_greeted = False
        self._pace.ended(asyncio.get_running_loop().time())
        calls, self._calls = self._calls, {}
        self._tokens.clear()
        if self._leaving is not None:
            self._leaving.set()
        for call in calls.values():
            call.lose(Failure(error=UnavailableError("provider_unavailable", why)))

    def _take(self, raw: bytes, envelope: Envelope) -> None:
        if envelope.kind is Kind.RESPONSE:
            call = self._calls.get(_plain(bytes(envelope.id)))
            if call is not None:
                self.forget(call)
                call.take_answer(raw, envelope)
            return
        if envelope.method == _PROGRESS:
            token = bytes(_progress.decode(bytes(envelope.params) or b"{}").progressToken)
            call = self._tokens.get(token)
            if call is not None:
                call.take_progress(raw)
            return
        standing = [each for each in self._standing if each.wants(envelope)]
        if envelope.kind is Kind.NOTIFICATION and standing:
            for each in standing:
                each.heard(raw, envelope)
        elif self._calls and not envelope.method.endswith("list_changed"):
            # The stream is shared: what belongs to no list is of whoever asked last.
            call = self._calls[next(reversed(self._calls))]
            call.take(raw, envelope)
        else:
            for each in self._standing[:1]:
                each.heard(raw, envelope)

    # Within

    def _is_current(self) -> bool:
        """Whether its process has what it would be given now."""
        generation = self._dispatcher.generation
        if self._generation is not generation:
            try:
                given = self._dispatcher.environment(self.server)
            except UnavailableError:
                return False
            if given != self._environment:
                return False
            self._generation = generation
        return True

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        listening = await self._retire()
        if self._child is None:
            server, generation = self.server, self._dispatcher.generation
            environment = self._dispatcher.environment(server)
            self._pace.begin(loop.time())
            self._child = await Child.start(
                server.name, server.command, environment, self, self._dispatcher.hidden(server)
            )
            self._environment, self._generation = environment, generation
        if self.era is Era.LEGACY:
            await self._greet()
        self._is_greeted = True
        for each in listening:
            each.begin()

    async def _retire(self) -> Sequence["ChildStanding"]:
        """End a process whose secrets have changed; who listened to it is to listen again.

        The next one is greeted as this one was. What is under way has some time to end.
        """
        child = self._child
        if child is None or self._is_current():
            return ()
        self._is_greeted = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_S):
                await self._quiet()
        if self._child is child:
            await child.stop()
            self._pace = Pace()  # it has not failed
        return tuple(self._standing)

    async def _quiet(self) -> None:
        """Return when nobody waits for an answer."""
        if any(not call.is_standing for call in self._calls.values()):
            self._leaving = asyncio.Event()
            await self._leaving.wait()

    async def _greet(self) -> None:
        reply = await greet(self, self._introduction, self.server.call_timeout_s)
        if reply.error:
            fault = errors.read(reply.error)
            raise McpError(fault.code, fault.message)
        greeted = read_greeting(reply.result)
        self.greeting, self.version = reply.result, greeted.version
        self.capabilities = greeted.capabilities
        await self.tell(message.notification("notifications/initialized"))


@final
class ChildCall:
    """One request; implements `channel.Pending`."""

    def __init__(self, channel: ChildChannel, sending: Sending, taker: Taker) -> None:
        """Not sent yet."""
        self._channel = channel
        self._sending = sending
        self._taker = taker
        self._task: asyncio.Task[None] | None = None
        self._is_over = False
        self._clients_token = b""
        self.number = _plain(sending.number)
        self.token = b""

    @property
    def is_standing(self) -> bool:
        """Whether nobody waits for its answer."""
        return isinstance(self._taker, _Nobody)

    def begin(self) -> None:
        """Send it, after a start and a handshake if there was none."""
        if self._channel.is_open:
            self.send()
        else:
            self._task = background(self._open_first())

    def send(self) -> None:
        """Send it now."""
        try:
            self._channel.send(self, self._sending.body)
        except RingfenceError as error:
            self.lose(Failure(error=error, was_sent=False))

    def with_own_token(self, body: bytes) -> bytes:
        """The request with a progress token that nobody else on this channel has."""
        asked = request.read(message.read(body))
        self._clients_token = asked.said("progressToken")
        if not self._clients_token:
            return body
        self.token = self._channel.number()
        edits = request.with_meta(asked, {"progressToken": self.token})
        return strict_json.replace(body, edits)

    def cancel(self, reason: str) -> None:
        """Nobody waits any more."""
        if self._is_over:
            return
        self._is_over = True
        self._channel.forget(self)
        if self._task is not None:
            self._task.cancel()
        params = {"requestId": msgspec.Raw(self._sending.number), "reason": reason}
        told = message.notification("notifications/cancelled", msgspec.json.encode(params))
        background(self._channel.tell(told))

    def take(self, raw: bytes, envelope: Envelope) -> None:
        """The server says something meanwhile."""
        if not self._is_over:
            self._taker.said(raw, envelope)

    def take_progress(self, raw: bytes) -> None:
        """The server tells how far it is; the client gets its own token back."""
        parts = strict_json.spans(raw)
        start, end = parts["params"]
        at = strict_json.spans_within(raw, start, end)["progressToken"]
        raw = strict_json.replace(raw, [(*at, self._clients_token)])
        self.take(raw, open_envelope(raw))

    def take_answer(self, raw: bytes, envelope: Envelope) -> None:
        """The server answers."""
        if not self._is_over:
            self._is_over = True
            self._taker.replied(raw, envelope, _ANSWERED)

    def lose(self, failure: Failure) -> None:
        """There will be no answer."""
        if not self._is_over:
            self._is_over = True
            self._taker.lost(failure)

    async def _open_first(self) -> None:
        failure = await not_opened(self._channel.open())
        if failure is not None:
            self.lose(failure)
            return
        self._task = None
        if not self._is_over:
            self.send()


@final
class ChildStanding:
    """Implements `channel.Standing`."""

    def __init__(self, channel: ChildChannel, wanted: Wanted, heard: Heard) -> None:
        """Nothing was heard yet."""
        self._channel = channel
        self._wanted = wanted
        self.heard = heard
        self._call: ChildCall | None = None

    def begin(self) -> None:
        """Subscribe, where the era wants that."""
        if self._channel.era is Era.MODERN:
            number = self._channel.number()
            params = listen_params(self._wanted)
            body = message.request(number, "subscriptions/listen", params)
            sending = Sending(body=body, number=number, method="subscriptions/listen")
            self._call = self._channel.call(sending, _Nobody())

    def wants(self, envelope: Envelope) -> bool:
        """Whether a notification is of the kind that is listened to."""
        return envelope.method.endswith(("list_changed", "resources/updated"))

    def close(self) -> None:
        """Hear no more."""
        self._channel.silence(self)
        if self._call is not None:
            self._call.cancel("nobody listens any more")


class _Nobody:
    """A `Taker` of a subscription's end, about which nothing is to be done."""

    def said(self, _raw: bytes, _envelope: Envelope) -> None:
        """Not heard."""

    def marked(self, _event_id: bytes, _retry_ms: int | None, *, is_alone: bool) -> None:
        """Not heard."""

    def paused(self) -> None:
        """Not heard."""

    def replied(self, _raw: bytes, _envelope: Envelope, _how: How) -> None:
        """Not heard."""

    def lost(self, _failure: Failure) -> None:
        """Not heard."""


def _one_line(body: bytes) -> bytes:
    """A message on one line. INVARIANT: in JSON an end of line is never part of a text.

    INVARIANT: no part of a message is one of its own, also to a server that reads text: there a
    carriage return alone ends a line, and between two of them a value would be a whole message.
    """
    return body.replace(b"\n", b" ").replace(b"\r", b" ")


def _plain(number: bytes) -> bytes:
    """An id as almost everybody writes it, so that two spellings are one."""
    if b"\\" not in number:
        return number
    return msgspec.json.encode(msgspec.json.decode(number))
