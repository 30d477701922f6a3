"""What a connection out of a sandbox wants: a tunnel, TLS, or plain requests."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from ringfence.decisions import destination as rule
from ringfence.decisions import reason
from ringfence.domain.destination import Authority, Destination, Way
from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code, Reason
from ringfence.gateways.egress import pass_through, refusing, web_socket
from ringfence.gateways.egress.call import Call
from ringfence.gateways.egress.place import Arrival, Place
from ringfence.gateways.egress.traffic import take_request
from ringfence.protocols.host_name import read_authority, read_host
from ringfence.protocols.tls_hello import HANDSHAKE, HelloReader, TlsHello, read_hello
from ringfence.transport.greeting import Greeting
from ringfence.transport.http import Handle, Request, Response
from ringfence.transport.interception import HandleAt, InterceptedConnection
from ringfence.transport.reply import Reply
from ringfence.transport.tls_stream import TlsStream

_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_UNKNOWN_NAME: Final = bytes.fromhex("15030300020270")
"""A fatal alert `unrecognized_name` (RFC 8446 section 6), before anything is encrypted."""

_Handled = Call | Coroutine[Any, Any, None] | None


def accept_proxied(place: Place) -> InterceptedConnection:
    """A connection of a client that knows it speaks to a proxy."""
    arrival = Arrival(way=Way.ABSOLUTE, scheme="http")
    return InterceptedConnection(place.service, _handler(place, arrival), is_proxy=True)


def accept_plain(place: Place) -> InterceptedConnection:
    """A connection that was made to port 80 of some address."""
    return InterceptedConnection(place.service, partial(_at_plain_port, place), is_proxy=False)


def accept_tls(place: Place) -> Greeting:
    """A connection that was made to port 443 of some address."""
    arrival = Arrival(way=Way.TLS, scheme="https")
    return _greeting(place, arrival)


def _handler(place: Place, arrival: Arrival) -> HandleAt:
    handle = partial(_handle, place, arrival)
    return lambda _transport: handle


def _at_plain_port(place: Place, transport: asyncio.BaseTransport) -> Handle:
    arrival = Arrival(way=Way.PLAIN, scheme="http")
    return partial(_handle, place, _caught(place, arrival, transport.get_extra_info("sockname")))


def _caught(place: Place, arrival: Arrival, local: object) -> Arrival:
    """With the address and port that the client dialled."""
    if not isinstance(local, tuple):
        return arrival
    promised = place.promises.name_of(str(local[0]).removeprefix("::ffff:"))
    return Arrival(way=arrival.way, scheme=arrival.scheme, dialled=int(local[1]), promised=promised)


def _handle(place: Place, arrival: Arrival, request: Request, response: Response) -> _Handled:
    if request.method == b"CONNECT":
        _connect(place, request, response)
        return None
    if request.header(b"upgrade") is not None:
        return web_socket.take_offer(place, arrival, request, response)
    return take_request(place, arrival, request, response)


def _connect(place: Place, request: Request, response: Response) -> None:
    """Begin a tunnel, if a host is named that the agent may reach at all."""
    named = _tunnel_of(place, request)
    target = request.path.decode("latin-1")
    if isinstance(named, Authority):
        arrival = Arrival(way=Way.CONNECT, scheme="https", tunnel=named)
        to = Destination(
            scheme="https",
            host=named.host,
            port=named.port or 0,
            is_address=named.is_address,
        )
        why = _forbidden(place, to)
        if why is None and isinstance(response, Reply):
            place.saw_connection(to.resource, Way.CONNECT)
            transport, early = response.hand_over(_ESTABLISHED)
            _greeting(place, arrival).adopt(transport, early)
            return
        named = why or reason.not_forwarded(
            place.box.caller.runtime.agent, "no tunnel is begun here"
        )
    place.saw_connection(target[:200], Way.CONNECT, named.code.value)
    refused = refusing.record(
        place.means, place.box, named, resource=target, operation="CONNECT", target=target
    )
    if isinstance(response, Reply):
        transport, _ = response.hand_over(refusing.tunnel_refusal(refused))
        transport.close()
    else:
        refusing.answer(response, refused)


def _tunnel_of(place: Place, request: Request) -> Authority | Reason:
    """What CONNECT names; Host must name the same."""
    agent = place.box.caller.runtime.agent
    try:
        named = read_authority(request.path)
        if named.port is None or request.query:
            return reason.destination_uncertain(agent, "the tunnel names no port")
        host = request.header(b"host")
        if host is not None and read_authority(host).host != named.host:
            return reason.destination_uncertain(agent, "its Host is another than its target")
    except PeerError as error:
        message = f"Ringfence refused this request: {error.message}."
        return Reason(code=Code.DESTINATION_REFUSED, message=message)
    return named


def _forbidden(place: Place, to: Destination) -> Reason | None:
    """Why nothing may be said to a destination; a tunnel to its plain port may be asked for."""
    box, path = place.box, place.means.path
    why = path.may_connect(box.caller, box.live, to)
    if why is None or to.port != 80:  # noqa: PLR2004 (the port of plain HTTP)
        return why
    plain = Destination(scheme="http", host=to.host, port=to.port, is_address=to.is_address)
    return path.may_connect(box.caller, box.live, plain)


# What is said first


def _greeting(place: Place, arrival: Arrival) -> Greeting:
    return Greeting(partial(_first_bytes, place, arrival, HelloReader()), place.service)


def _first_bytes(
    place: Place, arrival: Arrival, reader: HelloReader, greeting: Greeting, data: bytes
) -> None:
    """Decide what a connection is, when enough of it is there."""
    if place.is_closed:
        greeting.close(b"")
        return
    if arrival.way is Way.TLS:
        arrival = _caught(place, arrival, greeting.transport.get_extra_info("sockname"))
    elif data[0] != HANDSHAKE:
        _plain_in_tunnel(place, arrival, greeting, data)
        return
    agent = place.box.caller.runtime.agent
    try:
        hello = reader.read(data)
        if hello is None:
            return
        found = _decided(place, arrival, hello)
    except PeerError as error:
        found = reason.destination_uncertain(agent, error.message)
    if isinstance(found, Reason):
        _refuse_connection(place, arrival, greeting, found, data)
        return
    to, arrival = found
    why = _full(place, to)
    if why is not None:
        _refuse_connection(place, arrival, greeting, why, data)
        return
    if arrival.way is Way.TLS:
        place.saw_connection(to.resource, arrival.way)
    if place.passes(to):
        place.handshakes.end()  # it is between the client and the host
        pass_through.begin(place, to, greeting, data)
    else:
        _intercept(place, arrival, to, greeting, data)


def _full(place: Place, to: Destination) -> Reason | None:
    """Why no more TLS connections are taken now; if one more is, its handshake has begun."""
    agent = place.box.caller.runtime.agent
    if place.passes(to):
        if place.is_full:
            return reason.too_many_tunnels(agent)
        is_new = False
    else:
        if place.leaves is None:
            return reason.not_forwarded(agent, "this sandbox has no authority for certificates")
        is_new = not place.leaves.knows(to.host)
    now_us = place.means.clock.monotonic_us()
    if place.handshakes.begin(now_us, is_new_host=is_new):
        return None
    return reason.too_many_handshakes(agent)


def _decided(
    place: Place, arrival: Arrival, hello: TlsHello
) -> tuple[Destination, Arrival] | Reason:
    """Where a TLS connection goes, and how its requests come."""
    agent = place.box.caller.runtime.agent
    name = None if hello.server_name is None else read_host(hello.server_name)
    if name is not None and name.is_address:
        return reason.destination_uncertain(agent, "its TLS hello names an address")
    arrival = Arrival(
        way=arrival.way,
        scheme="https",
        tunnel=arrival.tunnel,
        server_name=name,
        dialled=arrival.dialled,
        promised=arrival.promised,
    )
    evidence = rule.Evidence(
        way=arrival.way,
        scheme="https",
        tunnel=arrival.tunnel,
        server_name=name,
        dialled=arrival.dialled,
        promised=arrival.promised,
    )
    to = rule.decide(agent, evidence)
    if isinstance(to, Reason):
        return to
    why = place.means.path.may_connect(place.box.caller, place.box.live, to)
    if why is None and hello.is_name_hidden and place.passes(to):
        why = reason.destination_uncertain(agent, "its TLS hello hides another name")
    return (to, arrival) if why is None else why


def _intercept(
    place: Place, arrival: Arrival, to: Destination, greeting: Greeting, data: bytes
) -> None:
    """End the client's TLS here, and read its requests."""
    if place.leaves is None:
        raise RuntimeError("nobody makes certificates here")
    service = place.service
    connection = InterceptedConnection(
        service, _handler(place, arrival), is_proxy=False, is_known=True
    )
    try:
        context = place.leaves.leaf(to.host)
    except BaseException:
        place.handshakes.end()
        raise
    stream = TlsStream(
        greeting.take(),
        context,
        connection,
        service=service,
        failed=partial(_handshake_failed, place, arrival, to),
        over=place.handshakes.end,
    )
    stream.begin(data)


def _handshake_failed(place: Place, arrival: Arrival, to: Destination, why: str) -> None:
    """The client did not take our certificate, or left: on the record, for it explains much."""
    place.saw_connection(to.resource, arrival.way, f"handshake: {why}")


def _plain_in_tunnel(place: Place, arrival: Arrival, greeting: Greeting, data: bytes) -> None:
    """Requests that are not encrypted inside of a tunnel, as some clients send them."""
    tunnel = arrival.tunnel
    named = Destination(
        scheme="http",
        host="" if tunnel is None else tunnel.host,
        port=0 if tunnel is None else tunnel.port or 0,
        is_address=tunnel is not None and tunnel.is_address,
    )
    why = place.means.path.may_connect(place.box.caller, place.box.live, named)
    if why is not None or not _looks_like_http(data):
        agent = place.box.caller.runtime.agent
        unknown = reason.not_forwarded(agent, "neither TLS nor HTTP is spoken in this tunnel")
        _refuse_connection(place, arrival, greeting, why or unknown, b"")
        return
    plain = Arrival(way=Way.CONNECT, scheme="http", tunnel=tunnel)
    connection = InterceptedConnection(
        place.service, _handler(place, plain), is_proxy=False, is_known=True
    )
    transport = greeting.take()
    transport.set_protocol(connection)
    connection.connection_made(transport)
    connection.data_received(data)


def _looks_like_http(data: bytes) -> bool:
    word = data[:16].partition(b" ")[0]
    return word.isalpha() and word.isupper()


def _refuse_connection(
    place: Place, arrival: Arrival, greeting: Greeting, why: Reason, data: bytes
) -> None:
    """Refuse what cannot be answered in HTTP, on the record."""
    named = arrival.tunnel or arrival.server_name or _name_in(data)
    local = greeting.transport.get_extra_info("sockname")
    address = f"{local[0]}:{local[1]}" if isinstance(local, tuple) else "?"
    subject = address if named is None else f"{named.host}:{named.port or arrival.dialled or 443}"
    place.saw_connection(subject, arrival.way, why.code.value)
    refusing.record(
        place.means,
        place.box,
        why,
        resource=subject,
        operation="TLS",
        target=f"tls://{subject} by {address}",
    )
    greeting.close(_UNKNOWN_NAME)


def _name_in(data: bytes) -> Authority | None:
    """The server that a hello names, for the record alone."""
    try:
        hello = read_hello(data) if data else None
        return None if hello is None or hello.server_name is None else read_host(hello.server_name)
    except PeerError:
        return None
