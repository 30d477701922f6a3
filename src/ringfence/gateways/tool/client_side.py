"""The client's side of one call: its stream, and what it missed while that was left."""

from typing import Final, final

from ringfence.enforcement.refusal import RefusedAction
from ringfence.gateways.tool import said
from ringfence.gateways.tool.ask import Ask
from ringfence.gateways.tool.outlet import Outlet
from ringfence.gateways.tool.session import Running
from ringfence.transport.http import Headers

_KEPT_BYTES: Final = 1024 * 1024
"""Of what a server says besides its answer, for a client that has left its stream; more is dropped,
as the protocol allows."""


@final
class ClientSide:
    """Where a call says what its client gets; one for each call.

    A legacy client's session knows the call: by its request, to cancel it, and by its stream's
    name, to go on with it.
    """

    __slots__ = ("_ask", "_kept", "_name", "_outlet")

    def __init__(
        self, ask: Ask, call: Running, headers: Headers, now_us: int, outlet: Outlet | None
    ) -> None:
        """`outlet` is a stream that is open already; without one nothing is sent yet."""
        self._ask = ask
        self._kept: list[bytes] = []
        """What the client missed while its stream was left."""
        self._name = b""
        session = ask.session
        if session is not None:
            self._name = b"%d" % session.next_number()
            session.calls[ask.number] = call
        self._outlet = outlet or Outlet(ask.response, headers, now_us, self._name)

    _outlet: Outlet | None

    @property
    def is_there(self) -> bool:
        """Whether it waits: its stream was not left for now."""
        return self._outlet is not None

    def open(self) -> None:
        """Begin its stream."""
        if self._outlet is not None:
            self._outlet.open()

    def say(self, raw: bytes) -> None:
        """Pass a message on that comes before the answer."""
        outlet = self._outlet
        if outlet is not None and not outlet.response.is_disconnected:
            outlet.say(raw, may_drop=True)
        elif sum(map(len, self._kept)) + len(raw) <= _KEPT_BYTES:
            self._kept.append(raw)

    def answer(self, raw: bytes, status: int) -> None:
        """Give the answer, or keep it for a client that comes back."""
        outlet = self._outlet
        if outlet is None or outlet.response.is_disconnected:
            self._kept.append(raw)
        else:
            outlet.answer(raw, status)

    def refuse(self, refused: RefusedAction) -> None:
        """Say why there is no answer, to a client that waits."""
        if self._outlet is not None:
            self._outlet.answer(*said.refusal(self._ask.asked, refused, self._ask.era))

    def keep_alive(self, now_us: int) -> None:
        """Tell it that its request is being worked on."""
        if self._outlet is not None:
            self._outlet.keep_alive(now_us)

    def leave(self) -> None:
        """End its stream without an answer."""
        if self._outlet is not None:
            self._outlet.leave()

    def abort(self) -> None:
        """Cut its stream."""
        if self._outlet is not None:
            self._outlet.abort()

    def mark(self, call: Running, event_id: bytes, retry_ms: int | None) -> None:
        """Name a place to go on from, to a client that has a session."""
        session = self._ask.session
        if session is not None and self._outlet is not None:
            session.may_resume(self._name, call)
            self._outlet.mark(event_id, retry_ms)

    def pause(self) -> None:
        """Leave its stream for now, if it can come back."""
        session, outlet = self._ask.session, self._outlet
        if outlet is not None and session is not None and self._name in session.streams:
            self._outlet = None
            outlet.leave()

    def resume(self, outlet: Outlet, *, is_over: bool) -> None:
        """It has come back for the rest: for all of it, once its call `is_over`."""
        self._outlet = outlet
        outlet.open()
        kept, self._kept = self._kept, []
        for raw in kept:
            outlet.say(raw)
        if is_over:
            outlet.leave()
            if self._ask.session is not None:
                self._ask.session.streams.pop(self._name, None)

    def end(self) -> None:
        """Its call is over; what was kept waits for it."""
        session = self._ask.session
        if session is not None:
            session.calls.pop(self._ask.number, None)
            if not self._kept:
                session.streams.pop(self._name, None)
