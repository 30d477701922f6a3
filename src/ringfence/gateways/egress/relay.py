"""The answer to one request while it passes: secrets taken out, counted, kept for the record."""

from collections.abc import Callable
from typing import Protocol, final

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.event import Status
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.authority import LAPSED
from ringfence.enforcement.credential_injection import Answer
from ringfence.enforcement.http_ticket import HttpTicket
from ringfence.gateways.answer import own_headers
from ringfence.gateways.egress.place import Place
from ringfence.protocols.forwarding import back
from ringfence.transport.http import Headers, Response, UpstreamResponse

_FIRST_ERROR = 400
_NO_CONTENT = frozenset({204, 304})


class Bearer(Protocol):
    """The request whose answer it is (`call.Call`)."""

    place: Place
    ticket: HttpTicket
    response: Response

    def take(self, step: Callable[..., None], *facts: object) -> None:
        """Take a step; whatever it raises ends the request."""

    def received(self, data: bytes) -> bool:
        """A piece of the answer has come; whether it may pass."""

    def settle(self, status: Status, *, http_status: int = 0, error: str = "") -> None:
        """Say how it ended."""

    def failed(self, error: RingfenceError) -> None:
        """Its host failed."""

    def refuse(self, status: Status, why: Reason) -> None:
        """End it with a refusal."""

    def end(self) -> None:
        """Nothing more will happen."""


@final
class Relay:
    """Implements `transport.http.Sink`. An answer that is whole at once goes out in one piece."""

    __slots__ = (
        "_answer",
        "_call",
        "_first",
        "_has_ended",
        "_headers",
        "_held",
        "_is_beginning",
        "_is_done",
        "_kept",
        "_length",
        "_room",
        "_upstream",
    )

    def __init__(self, call: Bearer, upstream: UpstreamResponse) -> None:
        """Look at the head. Raises PeerError `answer_encoded` if it cannot be looked into."""
        self._call = call
        self._upstream = upstream
        ticket = call.ticket
        headers: Headers = back(upstream.headers)
        injection = ticket.injection
        self._answer: Answer | None = None
        if injection is not None:
            self._answer = call.place.means.path.injections.answer(
                injection, headers, upstream.status
            )
            headers = self._answer.headers
        is_decoded = self._answer is not None and self._answer.is_decoded
        self._length = None if is_decoded else _stated_length(upstream)
        self._headers = [*headers, *own_headers(ticket.live.id, ticket.action)]
        self._kept: list[bytes] = []
        self._room = call.place.rules.kept_bytes
        self._first: list[bytes] = []
        self._held: list[bytes] | None = None
        self._has_ended = False
        self._is_beginning = True
        self._is_done = False

    def begin(self) -> None:
        """Take what is there already; then the rest as it comes."""
        call = self._call
        self._upstream.pipe(self)
        if self._is_done:
            return
        self._is_beginning = False
        call.response.on_pause(self._upstream.pause, self._upstream.resume)
        call.response.start(self._upstream.status, self._headers, content_length=self._length)
        first, self._first = self._first, []
        for data in first:
            call.response.write(data)

    def data(self, chunk: bytes) -> None:
        """Some bytes of the answer."""
        call = self._call
        if self._is_done:
            return
        if self._held is not None or not call.place.means.authority.is_fresh:
            self._hold(chunk)
            return
        if call.received(chunk):
            call.take(self._pass, chunk)

    def _pass(self, chunk: bytes) -> None:
        if self._answer is not None:
            chunk = self._answer.feed(chunk)
        self._write(chunk)

    def _write(self, data: bytes) -> None:
        if not data:
            return
        if self._room > 0:
            self._kept.append(data[: self._room])
            self._room -= len(data)
        if self._is_beginning:
            self._first.append(data)
        else:
            self._call.response.write(data)

    def end(self) -> None:
        """The answer is whole."""
        if self._is_done:
            return
        if self._held is not None or not self._call.place.means.authority.is_fresh:
            self._hold(b"")
            self._has_ended = True
            return
        self._call.take(self._end)

    def _end(self) -> None:
        call, status = self._call, self._upstream.status
        if self._answer is not None:
            self._write(self._answer.finish())
            for name, times in self._answer.redactions.items():
                call.place.means.path.redacted(call.ticket, name, times)
        self._is_done = True
        is_error = status >= _FIRST_ERROR
        call.settle(
            Status.UPSTREAM_ERROR if is_error else Status.OK,
            http_status=status,
            error=f"http_{status}" if is_error else "",
        )
        if self._is_beginning and self._length in {None, sum(map(len, self._first))}:
            call.response.send(status, self._headers, b"".join(self._first))
        else:
            if self._is_beginning:
                call.response.start(status, self._headers, content_length=self._length)
                for data in self._first:
                    call.response.write(data)
            call.response.end()
        call.end()

    def failed(self, error: Exception) -> None:
        """The answer broke off: the client must see a cut and not an end."""
        call = self._call
        if self._is_done:
            return
        self._is_done = True
        if not isinstance(error, RingfenceError):
            error = UnavailableError(Code.PROVIDER_UNAVAILABLE, "its answer broke off")
        call.take(call.failed, error)

    def kept(self) -> bytes:
        """As much of the answer as the record keeps, as the client got it."""
        return b"".join(self._kept)

    def redactions(self) -> int:
        """How often a secret was taken out so far."""
        return 0 if self._answer is None else sum(self._answer.redactions.values())

    def abandon(self) -> None:
        """Take no more."""
        self._is_done = True
        self._first.clear()

    def _hold(self, chunk: bytes) -> None:
        """Keep what may not be written now, and take no more, until authority is renewed."""
        if self._held is None:
            self._held = []
            self._upstream.pause()
            self._call.place.means.authority.when_fresh(self._resume)
        self._held.append(chunk)

    def _resume(self, is_fresh: bool) -> None:  # noqa: FBT001 (a callback's only argument)
        if self._is_done:
            return
        if not is_fresh:
            self._cut(LAPSED)
            return
        held, self._held = self._held or [], None
        late = b"".join(held)
        if late:
            self.data(late)
        self._go_on()

    def _go_on(self) -> None:
        if self._is_done or self._held is not None:
            return
        if self._has_ended:
            self.end()
        self._upstream.resume()

    def _cut(self, why: Reason) -> None:
        self._call.refuse(Status.CUT, why)


def _stated_length(upstream: UpstreamResponse) -> int | None:
    """The length that the host states; what it says of a body that does not come is kept, too."""
    if upstream.status in _NO_CONTENT:
        return None
    for name, value in upstream.headers:
        if name == b"content-length":
            return int(value)
    return None
