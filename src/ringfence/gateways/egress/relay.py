"""The answer to one request while it passes: secrets taken out, counted, kept for the record."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol, final

from ringfence.domain.error import RingfenceError, UnavailableError
from ringfence.domain.event import Status
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.clean_answer import CleanAnswer
from ringfence.enforcement.http_ticket import HttpTicket
from ringfence.gateways.answer import own_headers
from ringfence.gateways.egress.place import Place
from ringfence.gateways.relay import Relay
from ringfence.protocols.forwarding import back
from ringfence.transport.http import Headers, Response, UpstreamResponse

_FIRST_ERROR = 400
_OK: Final = Status.OK
"""By the name of its class it costs a call, here and below where every request passes."""
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
class AnswerRelay(Relay):
    """Implements `transport.http.Sink`. An answer that is whole at once goes out in one piece."""

    __slots__ = (
        "_call",
        "_clean",
        "_first",
        "_headers",
        "_is_beginning",
        "_kept",
        "_length",
        "_room",
    )

    def __init__(self, call: Bearer, upstream: UpstreamResponse) -> None:
        """Look at the head. Raises PeerError `answer_encoded` if it cannot be looked into."""
        place = call.place
        super().__init__(upstream, place.means.authority)
        self._call = call
        self._headers: Headers = back(upstream.headers)
        """Those of the host; of no use where `_clean` is."""
        injection = call.ticket.injection
        self._clean: CleanAnswer | None = None
        if injection is not None:
            injections = place.means.path.injections
            self._clean = injections.answer(injection, self._headers)
        is_decoded = self._clean is not None and self._clean.is_decoded
        self._length = None if is_decoded else _stated_length(upstream)
        self._kept: list[bytes] = []
        self._room = place.rules.kept_bytes
        self._first: list[bytes] = []
        """What has come while it begins, as it came."""
        self._is_beginning = True

    def begin(self) -> None:
        """Take what is there already; then the rest as it comes."""
        call, whole = self._call, self._upstream.at_once()
        if whole is not None:
            if call.received(whole):
                self._end_at_once(whole)
            return
        self._upstream.pipe(self)
        if self._is_done:
            return
        self._is_beginning = False
        call.response.on_pause(self._upstream.pause, self._upstream.resume)
        headers = self._headers if self._clean is None else self._clean.headers
        head = self._with_ours(headers)
        call.response.start(self._upstream.status, head, content_length=self._length)
        first, self._first = self._first, []
        for data in first:
            self._pass(data)

    def _with_ours(self, headers: Headers) -> Headers:
        ticket = self._call.ticket
        return [*headers, *own_headers(ticket.live.id, ticket.action)]

    def data(self, chunk: bytes) -> None:
        """Some bytes of the answer."""
        call = self._call
        if self._is_done:
            return
        if self._is_beginning:  # within the step that has just asked for authority
            if call.received(chunk):
                self._first.append(chunk)
        elif not self._is_withheld(chunk) and call.received(chunk):
            call.take(self._pass, chunk)

    def _pass(self, chunk: bytes) -> None:
        self._write(chunk if self._clean is None else self._clean.feed(chunk))

    def _write(self, data: bytes) -> None:
        if data:
            self._keep(data)
            self._call.response.write(data)

    def _keep(self, data: bytes) -> None:
        if self._room > 0:
            self._kept.append(data[: self._room])
            self._room -= len(data)

    def end(self) -> None:
        """The answer is whole."""
        if self._is_done:
            return
        if self._is_beginning:
            first = self._first
            self._call.take(self._end_at_once, first[0] if len(first) == 1 else b"".join(first))
        elif self._is_withheld():
            self._has_ended = True
        else:
            self._call.take(self._end)

    def _end_at_once(self, body: bytes) -> None:
        """All of it has come together: it goes out in one piece."""
        headers = self._headers
        if self._clean is not None:
            headers, body = self._clean.at_once(body)
        self._keep(body)
        self._settle()
        call, status, headers = self._call, self._upstream.status, self._with_ours(headers)
        # An answer to HEAD has no body, but not for that a length of 0 (RFC 9110 section 8.6).
        if self._length == len(body) or (body and self._length is None):
            call.response.send(status, headers, body)
        else:
            call.response.start(status, headers, content_length=self._length)
            call.response.write(body)
            call.response.end()
        call.end()

    def _end(self) -> None:
        if self._clean is not None:
            self._write(self._clean.finish())
        self._settle()
        self._call.response.end()
        self._call.end()

    def _settle(self) -> None:
        """Put it on the record, before its end goes out."""
        call, status = self._call, self._upstream.status
        self._is_done = True
        if status < _FIRST_ERROR:
            call.settle(_OK, http_status=status)
        else:
            call.settle(Status.UPSTREAM_ERROR, http_status=status, error=f"http_{status}")

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
        kept = self._kept
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def redactions(self) -> Mapping[str, int]:
        """How often each secret was taken out so far, by name."""
        return {} if self._clean is None else self._clean.redactions

    def abandon(self) -> None:
        """Take no more."""
        self._is_done = True
        self._first.clear()

    def cut(self, reason: Reason) -> None:
        """End it for that reason; what has gone out is cut."""
        self._call.refuse(Status.CUT, reason)


def _stated_length(upstream: UpstreamResponse) -> int | None:
    """The length that the host states; what it says of a body that does not come is kept, too."""
    if upstream.status in _NO_CONTENT:
        return None
    for name, value in upstream.headers:
        if name == b"content-length":
            return int(value)
    return None
