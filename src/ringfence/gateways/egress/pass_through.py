"""Hosts whose TLS passes as it is, because somebody said so: who and how much, but never what."""

import asyncio
import contextlib
from functools import partial
from typing import Final, Protocol

from ringfence.decisions import reason as reasons
from ringfence.domain.destination import Destination
from ringfence.domain.error import RingfenceError
from ringfence.domain.event import Status
from ringfence.domain.verdict import Reason
from ringfence.enforcement.authority import LAPSED
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.http_call import TUNNEL, HttpKnock
from ringfence.enforcement.http_ticket import HttpEnding, HttpTicket
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.refusal import INTERNAL
from ringfence.gateways.egress.place import Place
from ringfence.transport.greeting import Greeting
from ringfence.transport.http import Origin
from ringfence.transport.tunnel import Side, Tunnel

_REFUSED: Final = bytes.fromhex("15030300020231")
"""A fatal alert `access_denied` (RFC 8446 section 6)."""


def begin(place: Place, to: Destination, greeting: Greeting, data: bytes) -> None:
    """Carry a connection that began with these bytes to its host; a task waits for both sides."""
    transport = greeting.take()
    if not transport.is_closing():
        transport.pause_reading()
    task = asyncio.get_running_loop().create_task(_carry(place, to, transport, data))
    place.waiting.add(task)
    task.add_done_callback(place.waiting.discard)


async def _carry(place: Place, to: Destination, client: asyncio.Transport, data: bytes) -> None:
    path = place.means.path
    knock = HttpKnock(
        caller=place.box.caller,
        destination=to,
        method=TUNNEL,
        sandbox=place.box.id,
        is_tunnel=True,
        uninspected=True,
        body_bytes=None,
    )
    begun = path.begin(knock)
    if isinstance(begun, Lacking):
        begun = await path.supply(knock, begun, client.is_closing)
    if isinstance(begun, Holdable):
        held = await place.means.held.pursue(
            knock, begun, place.rules.approval_s, client.is_closing
        )
        ticket = held if isinstance(held, HttpTicket) else None
    else:
        ticket = begun if isinstance(begun, HttpTicket) else None
    if ticket is None:
        _hang_up(client)
    else:
        await _open(place, ticket, client, data)


async def _open(place: Place, ticket: HttpTicket, client: asyncio.Transport, data: bytes) -> None:
    """Dial the host when the intent is durable, and join the two."""
    path, to = place.means.path, ticket.destination
    await asyncio.wait({ticket.durable})
    if path.written(ticket) is not None:
        _hang_up(client)
        return
    if not await place.means.authority.renewed():
        ticket.settle(HttpEnding(status=Status.CUT, error=LAPSED.code.value))
        _hang_up(client)
        return
    origin = Origin(scheme="http", host=to.host, port=to.port)
    try:
        upstream = await place.pool.dial(origin, place.rules.connect_timeout_s)
    except RingfenceError as error:
        path.failed(ticket, error.code)
        ticket.settle(HttpEnding(status=Status.FAILED, error=error.code))
        _hang_up(client)
        return
    except BaseException:
        ticket.settle(HttpEnding(status=Status.FAILED, error=INTERNAL.code.value))
        client.abort()
        raise
    path.answered(ticket, 200)
    join(place, ticket, client, upstream, data)


def join(  # noqa: PLR0913, PLR0917 (a tunnel has these parts)
    place: Place,
    ticket: HttpTicket,
    client: asyncio.Transport,
    upstream: asyncio.Transport,
    from_client: bytes = b"",
    from_upstream: bytes = b"",
    reading: "Reading | None" = None,
) -> None:
    """Let two connections speak until one of them ends, or what they may move is used up.

    `reading` looks into what passes; without it nobody does.
    """
    passing = _Passing(place, ticket, reading)
    tunnel = Tunnel(
        client,
        upstream,
        sweeper=place.service.sweeper,
        idle_s=place.means.limits.tunnel_idle_s,
        passed=passing.passed,
        over=passing.over,
    )
    place.tunnels.add(tunnel)
    name = upstream.get_extra_info("peername")
    passing.address = str(name[0]) if isinstance(name, tuple) else ""
    ticket.on_stop = partial(_stop, passing, tunnel)
    if place.is_closed or not ticket.is_open:
        tunnel.cut()
        return
    passing.client, passing.tunnel = tunnel.client, tunnel
    tunnel.begin(from_client, from_upstream)


class Reading(Protocol):
    """Looks into what passes; gives what goes on in its place, or why the tunnel is cut."""

    def out(self, data: bytes) -> bytes | Reason:
        """What the client says."""

    def back(self, data: bytes) -> bytes | Reason:
        """What the host says."""

    def redactions(self) -> int:
        """How often a secret was taken out; asked once, at the end."""


class _Passing:
    """Counts what passes, and settles the ticket at the end."""

    def __init__(self, place: Place, ticket: HttpTicket, reading: Reading | None) -> None:
        self._place = place
        self._ticket = ticket
        self._reading = reading
        self.client: Side | None = None
        self.tunnel: Tunnel | None = None
        self._held: list[tuple[Side, bytes]] = []
        """What came while nothing may be passed on; each side is read no further meanwhile."""
        self._moved = 0
        self.address = ""
        self.why = ""

    def passed(self, side: Side, data: bytes) -> bytes | None:
        """What goes on, if so much more may pass; only with authority (design note 012)."""
        authority = self._place.means.authority
        if not authority.is_fresh:
            if not self._held:
                authority.when_fresh(self._resume)
            self._held.append((side, data))
            side.hold()
            return b""
        self._moved += len(data)
        if self._moved > self._ticket.allowed_bytes:
            agent = self._ticket.caller.runtime.agent
            self.why = reasons.bytes_used_up(agent, self._ticket.allowed_bytes).code.value
            return None
        guard = self._ticket.guard()
        if guard is not None:
            self.why = guard.code.value
            return None
        reading = self._reading
        if reading is None:
            return data
        found = reading.out(data) if side is self.client else reading.back(data)
        if isinstance(found, Reason):
            self.why = found.code.value
            return None
        return found

    def _resume(self, is_fresh: bool) -> None:  # noqa: FBT001 (a callback's only argument)
        tunnel, held, self._held = self.tunnel, self._held, []
        if tunnel is None:
            return
        if not is_fresh:
            self.why = LAPSED.code.value
            tunnel.cut()
            return
        for side, data in held:
            side.release()
            tunnel.passed(side, data)

    def over(self, tunnel: Tunnel) -> None:
        """Both ends are closing."""
        self._place.tunnels.discard(tunnel)
        self._ticket.settle(
            HttpEnding(
                status=Status.CUT if self.why else Status.OK,
                error=self.why,
                address=self.address,
                sent_bytes=tunnel.client.bytes,
                received_bytes=tunnel.upstream.bytes,
                redactions=0 if self._reading is None else self._reading.redactions(),
            )
        )


def _stop(passing: _Passing, tunnel: Tunnel, why: Reason) -> None:
    passing.why = why.code.value
    tunnel.cut()


def _hang_up(client: asyncio.Transport) -> None:
    if not client.is_closing():
        with contextlib.suppress(Exception):
            client.write(_REFUSED)
        client.close()
