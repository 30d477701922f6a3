"""WebSockets out of a sandbox: the handshake is a request like any other, then frames pass.

Extensions are not offered on, so that frames can be read: a placeholder that is not for the host
cuts the connection, and secrets are taken out of what the host says.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, final

from ringfence.decisions import reason
from ringfence.domain.destination import Destination
from ringfence.domain.error import PeerError, RingfenceError
from ringfence.domain.event import Status
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.authority import LAPSED
from ringfence.enforcement.clean_answer import CleanAnswer
from ringfence.enforcement.http_ticket import HttpEnding, HttpTicket
from ringfence.enforcement.placeholder import Placeholders, PlaceholderWatch
from ringfence.enforcement.refusal import INTERNAL, RefusedAction
from ringfence.gateways.answer import own_headers
from ringfence.gateways.egress import pass_through, refusing
from ringfence.gateways.egress.place import Arrival, Place
from ringfence.gateways.egress.request import Read, knock_of, read_request
from ringfence.gateways.egress.traffic import answer_pending, begun_in_time, turn_away
from ringfence.protocols.forwarding import back, onward
from ringfence.protocols.scrubbing import MessageScrubber
from ringfence.protocols.web_socket import CLOSE, CONTINUATION, FrameReader, write_frame
from ringfence.transport.http import Headers, Request, Response
from ringfence.transport.reply import Reply
from ringfence.transport.switching import SWITCHING, Offered

_LOG = logging.getLogger(__name__)

_NOT_ONWARD: Final = frozenset({b"sec-websocket-extensions"})
_REFUSED_BYTES: Final = 1024 * 1024


def take_offer(
    place: Place, arrival: Arrival, request: Request, response: Response
) -> Coroutine[Any, Any, None] | None:
    """Answer the offer of a WebSocket; a coroutine, for the host must be asked first."""
    read = read_request(place, arrival, request)
    if isinstance(read, Reason):
        turn_away(place, arrival, request, response, read)
        return None
    return _take(place, arrival, read, request, response)


async def _take(
    place: Place, arrival: Arrival, read: Read, request: Request, response: Response
) -> None:
    if place.is_full:
        why = reason.too_many_tunnels(place.box.caller.runtime.agent)
        turn_away(place, arrival, request, response, why)
        return
    place.offers += 1
    try:
        await _ask(place, read, request, response)
    finally:
        place.offers -= 1


async def _ask(place: Place, read: Read, request: Request, response: Response) -> None:
    knock = knock_of(place, read, request, b"", 0)
    begun = await begun_in_time(place, knock, place.means.path.begin(knock), response)
    if isinstance(begun, HttpTicket):
        await _begin(place, read, request, response, begun)
    elif isinstance(begun, RefusedAction):
        refusing.answer(response, begun)
    else:
        answer_pending(response, begun)


async def _begin(
    place: Place, read: Read, request: Request, response: Response, ticket: HttpTicket
) -> None:
    """Offer it to the host, when the intent is durable."""
    path = place.means.path
    await asyncio.wait({ticket.durable})
    refused = path.written(ticket)
    if refused is not None:
        refusing.answer(response, refused)
        return
    if not await place.means.authority.renewed():
        _end(ticket, response, LAPSED, LAPSED.code.value)
        return
    try:
        offered = await _offer(place, read, request, ticket)
        path.answered(ticket, offered.answer.status)
        if offered.answer.status == SWITCHING:
            _join(place, ticket, response, offered)
        else:
            await _pass_refusal(place, ticket, response, offered)
    except RingfenceError as error:
        if error.code != Code.DESTINATION_REFUSED:
            path.failed(ticket, error.code)
        _end(ticket, response, refusing.why_failed(ticket, error), error.code)
    except asyncio.CancelledError:
        ticket.settle(HttpEnding(status=Status.CUT, error=Code.SHUTTING_DOWN.value))
        raise
    except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
        _LOG.exception("a WebSocket failed unexpectedly")
        _end(ticket, response, INTERNAL, INTERNAL.code.value)


async def _offer(place: Place, read: Read, request: Request, ticket: HttpTicket) -> Offered:
    injection = ticket.injection
    headers: Headers = [each for each in onward(request.headers) if each[0] not in _NOT_ONWARD]
    target = read.target
    if injection is not None:
        injections = place.means.path.injections
        if not injections.is_ready(injection):
            await injections.fresh(injection)
        rewritten = injections.prepare(injection, headers, target, place.placeholders)
        headers, target = rewritten.headers, rewritten.target
    return await place.pool.offer(
        read.origin,
        target,
        headers,
        b"websocket",
        connect_timeout_s=place.rules.connect_timeout_s,
        idle_timeout_s=place.rules.idle_timeout_s,
    )


def _join(place: Place, ticket: HttpTicket, response: Response, offered: Offered) -> None:
    """Both sides have agreed: from now on frames pass."""
    if response.is_disconnected or not isinstance(response, Reply) or not ticket.is_open:
        offered.line.give_up()
        ticket.settle(HttpEnding(status=Status.CLIENT_GONE, error="client_gone"))
        return
    answer = offered.answer
    injection = ticket.injection
    clean = None
    headers: Headers = [each for each in back(answer.headers) if each[0] not in _NOT_ONWARD]
    if injection is not None:
        clean = place.means.path.injections.answer(injection, headers)
        headers = clean.headers
    ours = own_headers(ticket.live.id, ticket.action)
    lines = [b"%b: %b" % pair for pair in (*headers, *ours)]
    first = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    opening = first + b"\r\n".join([*lines, b"", b""])
    upstream, from_upstream = offered.line.hand_over()
    client, from_client = response.hand_over(opening)
    frames = _Frames(place, ticket, clean)
    pass_through.join(place, ticket, client, upstream, from_client, from_upstream, frames)


@final
class _Frames:
    """Reads what passes; implements `pass_through.Reading`."""

    def __init__(self, place: Place, ticket: HttpTicket, clean: CleanAnswer | None) -> None:
        to = ticket.destination
        holders = place.placeholders if place.watches else None
        self._path = place.means.path
        self._ticket = ticket
        self._watches = () if holders is None else _watches(holders, to)
        self._clean = clean
        self._messages = None if clean is None else clean.messages()
        self._is_begun = False
        self._said = FrameReader(is_masked=True)
        self._heard = FrameReader(is_masked=False)

    def out(self, data: bytes) -> bytes | Reason:
        """What the client says: as it is, or why it is cut."""
        said: tuple[list[bytes], list[bytes]] = ([], [])
        try:
            for piece in self._said.feed(data):
                said[piece.is_control].append(piece.payload)
        except PeerError as error:
            return _unreadable(error)
        # Control frames come between the pieces of a message and are none of it.
        for watch, payloads in zip(self._watches, said, strict=False):
            name = watch.finds(b"".join(payloads)) if payloads else None
            if name is not None:
                return self._path.misplaced(self._ticket, name)
        return data

    def back(self, data: bytes) -> bytes | Reason:
        """What the host says: without secrets."""
        try:
            pieces = list(self._heard.feed(data))
        except PeerError as error:
            return _unreadable(error)
        clean = self._clean
        if clean is None or self._messages is None:
            return data
        frames: list[bytes] = []
        parts: list[bytes] = []
        """Pieces of one message that came together: however many, they are searched once."""
        opcode = 0
        for piece in pieces:
            if piece.is_control:
                if piece.opcode == CLOSE and parts:
                    frames.append(self._frame(self._messages, opcode, parts, is_last=False))
                payload = clean.text(piece.payload)
                frames.append(write_frame(piece.opcode, payload, is_last=True))
                continue
            opcode = piece.opcode
            parts.append(piece.payload)
            if piece.is_last:
                frames.append(self._frame(self._messages, opcode, parts, is_last=True))
        if parts:
            frames.append(self._frame(self._messages, opcode, parts, is_last=False))
        return b"".join(frames)

    def _frame(
        self, messages: MessageScrubber, opcode: int, parts: list[bytes], *, is_last: bool
    ) -> bytes:
        """What may pass of these pieces of a message; they are used up."""
        payload = messages.feed(b"".join(parts), is_last=is_last)
        parts.clear()
        if not payload and not is_last:
            return b""
        opcode = CONTINUATION if self._is_begun else opcode
        self._is_begun = not is_last
        return write_frame(opcode, payload, is_last=is_last)

    def redactions(self) -> int:
        """How often a secret was taken out; on the record, too."""
        if self._clean is None:
            return 0
        for name, times in self._clean.redactions.items():
            self._path.redacted(self._ticket, name, times)
        return sum(self._clean.redactions.values())


def _watches(holders: Placeholders, to: Destination) -> tuple[PlaceholderWatch, PlaceholderWatch]:
    """One for messages, and one for control frames."""
    return holders.watch(to.host, to.port), holders.watch(to.host, to.port)


async def _pass_refusal(
    place: Place, ticket: HttpTicket, response: Response, offered: Offered
) -> None:
    """The host says no: its answer goes to the client."""
    answer = offered.answer
    body = await answer.read(_REFUSED_BYTES)
    headers: Headers = back(answer.headers)
    redactions = 0
    if ticket.injection is not None:
        clean = place.means.path.injections.answer(ticket.injection, headers)
        body, headers = clean.whole(body), clean.headers
        redactions = sum(clean.redactions.values())
        for name, times in clean.redactions.items():
            place.means.path.redacted(ticket, name, times)
    ticket.settle(
        HttpEnding(
            status=Status.UPSTREAM_ERROR,
            http_status=answer.status,
            error=f"http_{answer.status}",
            body=body[: place.rules.kept_bytes],
            address=answer.address,
            received_bytes=len(body),
            redactions=redactions,
        )
    )
    if not response.is_disconnected:
        ours = own_headers(ticket.live.id, ticket.action)
        response.send(answer.status, [*headers, *ours], body)


def _end(ticket: HttpTicket, response: Response, why: Reason, error: str) -> None:
    ticket.settle(HttpEnding(status=Status.FAILED, error=error))
    refused = RefusedAction(
        verdict=Deny(reason=why), action=ticket.action, invocation=ticket.live.id
    )
    refusing.answer(response, refused)


def _unreadable(error: PeerError) -> Reason:
    return Reason(code=Code.REQUEST_MALFORMED, message=f"Ringfence cut this: {error.message}.")
