"""The requests of one connection: each is decided, begun, and carried to its end."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from ringfence.decisions import approval as rule
from ringfence.domain.error import PeerError
from ringfence.domain.event import Status
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.held_call import Unanswered
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.http_call import HttpKnock
from ringfence.enforcement.http_ticket import HttpTicket
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.placeholder import PlaceholderWatch
from ringfence.enforcement.refusal import INTERNAL, RefusedAction
from ringfence.gateways.answer import own_headers
from ringfence.gateways.egress import refusing
from ringfence.gateways.egress.call import Call, Outgoing
from ringfence.gateways.egress.place import Arrival, Place
from ringfence.gateways.egress.request import Read, another, knock_of, read_request, shown
from ringfence.protocols.forwarding import override_in_form
from ringfence.transport.http import Request, Response
from ringfence.transport.upload import Upload
from ringfence.transport.work import until_over

_ANY: Final = 2**62
Begun = HttpTicket | Holdable | RefusedAction | Lacking


def take_request(
    place: Place, arrival: Arrival, request: Request, response: Response
) -> Call | Coroutine[Any, Any, None] | None:
    """Answer one request that is no offer of another protocol.

    A coroutine if that must wait: for its body, for another process, or for a person.
    """
    read = read_request(place, arrival, request)
    if not isinstance(read, Read):
        turn_away(place, arrival, request, response, read)
        return None
    body = request.whole(_ANY)
    if body is None:
        return _take_late(place, arrival, read, request, response)
    other = _another(place, request, body) if body else None
    if other is not None:
        turn_away(place, arrival, request, response, other)
        return None
    knock = knock_of(place, read, request, body, len(body))
    begun = place.means.path.begin(knock)
    if isinstance(begun, HttpTicket):
        return Call(place, _outgoing(read, request, response, body), begun)
    if isinstance(begun, RefusedAction):
        refusing.answer(response, begun)
        return None
    return _take_waiting(place, read, request, response, knock, begun)


def _another(place: Place, request: Request, body: bytes) -> Reason | None:
    """Why a request is refused whose form would make another of it."""
    if request.method != b"POST":
        return None
    name = override_in_form(request.header(b"content-type") or b"", body)
    return another(place.box.caller.runtime.agent, name) if name else None


def turn_away(
    place: Place, arrival: Arrival, request: Request, response: Response, why: Reason
) -> None:
    """Refuse what never became a request, on the record."""
    resource, target = shown(arrival, request)
    operation = request.method.decode("latin-1")
    refused = refusing.record(
        place.means, place.box, why, resource=resource, operation=operation, target=target
    )
    refusing.answer(response, refused)


async def begun_in_time(
    place: Place, knock: HttpKnock, begun: Begun, response: Response
) -> HttpTicket | RefusedAction | Unanswered:
    """What becomes of a request that must wait for another process, or for a person."""

    def is_gone() -> bool:
        return response.is_disconnected

    means = place.means
    if isinstance(begun, Lacking):
        begun = await means.path.supply(knock, begun, is_gone)
    if isinstance(begun, Holdable):
        return await means.held.pursue(knock, begun, place.rules.approval_s, is_gone)
    return begun


def answer_pending(response: Response, pending: Unanswered) -> None:
    """Nobody has answered yet: the client is told to ask again."""
    why = rule.unusable(pending.approval).reason
    status, headers, body = refusing.rendered(why)
    if not response.is_disconnected:
        binding = pending.approval.binding
        ours = own_headers(binding.invocation, "")
        held = (b"ringfence-approval", pending.approval.id.encode())
        response.send(status, [*headers, *ours, held], body)


async def _take_waiting(  # noqa: PLR0913, PLR0917 (a request has these parts)
    place: Place, read: Read, request: Request, response: Response, knock: HttpKnock, begun: Begun
) -> None:
    found = await begun_in_time(place, knock, begun, response)
    if isinstance(found, HttpTicket):
        call = Call(place, _outgoing(read, request, response, knock.body), found)
        await until_over(call)
    elif isinstance(found, RefusedAction):
        refusing.answer(response, found)
    else:
        answer_pending(response, found)


async def _take_late(
    place: Place, arrival: Arrival, read: Read, request: Request, response: Response
) -> None:
    """The same for a body that is still on its way: its beginning is waited for."""
    length = _stated(request)
    chunks = request.chunks()
    try:
        body, is_whole = await _beginning(chunks, place.means.limits.body_prefix_bytes)
    except ConnectionError:
        return
    other = _another(place, request, body)
    if other is not None:
        turn_away(place, arrival, request, response, other)
        return
    knock = knock_of(place, read, request, body, len(body) if is_whole else length)
    begun = place.means.path.begin(knock)
    found = await begun_in_time(place, knock, begun, response)
    if isinstance(found, RefusedAction):
        refusing.answer(response, found)
    elif isinstance(found, Unanswered):
        answer_pending(response, found)
    elif is_whole:
        await until_over(Call(place, _outgoing(read, request, response, body), found))
    else:
        upload = Upload(length)
        call = Call(place, _outgoing(read, request, response, upload), found)
        await _pump(place, call, upload, body, chunks)
        await until_over(call)


async def _beginning(chunks: AsyncIterator[bytes], enough: int) -> tuple[bytes, bool]:
    """The first bytes of a body, and whether they are all of it."""
    parts: list[bytes] = []
    size = 0
    while size < enough:
        chunk = await anext(chunks, None)
        if chunk is None:
            return b"".join(parts), True
        parts.append(chunk)
        size += len(chunk)
    return b"".join(parts), False


async def _pump(
    place: Place, call: Call, upload: Upload, first: bytes, chunks: AsyncIterator[bytes]
) -> None:
    """Pass a body on as it comes; what must not leave cuts it."""
    to = call.ticket.destination
    holders = place.placeholders if place.watches else None
    coding = call.out.request.header(b"content-encoding") or b""
    watch = None if holders is None else holders.watch(to.host, to.port, coding)
    try:
        data: bytes | None = first
        while data is not None and not upload.is_over and not call.is_over:
            if not _may_leave(place, call, watch, data):
                return
            upload.write(data)
            await upload.drain()
            data = await anext(chunks, None)
        if data is None and not upload.is_over:
            upload.end()
    except ConnectionError:
        upload.abort()
    except (PeerError, ValueError):
        upload.abort()
        why = Reason(code=Code.REQUEST_MALFORMED, message="Ringfence could not read this body.")
        call.refuse(Status.FAILED, why)
    except asyncio.CancelledError:
        upload.abort()
        raise
    except Exception:  # noqa: BLE001 (INVARIANT I4: what is unexpected denies)
        upload.abort()
        call.refuse(Status.FAILED, INTERNAL)


def _may_leave(place: Place, call: Call, watch: PlaceholderWatch | None, data: bytes) -> bool:
    """Whether a piece of a body may go out; a request that may not go on is ended."""
    misplaced = None if watch is None else watch.finds(data)
    if misplaced is not None:
        why = place.means.path.misplaced(call.ticket, misplaced)
        call.refuse(Status.CUT, why)
        return False
    return call.sent(data)


def _outgoing(read: Read, request: Request, response: Response, body: bytes | Upload) -> Outgoing:
    return Outgoing(
        request=request, response=response, target=read.target, origin=read.origin, body=body
    )


def _stated(request: Request) -> int | None:
    length = request.header(b"content-length")
    return None if length is None else int(length)
