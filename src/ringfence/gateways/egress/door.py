"""The egress gateway's door: the listeners of every sandbox of one worker, and their end."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, cast, final

from ringfence.decisions import reason
from ringfence.decisions.address import address_fault
from ringfence.decisions.handshake import Handshakes
from ringfence.domain.error import UnsentError
from ringfence.domain.sandbox import ListenerKind
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.placeholder import Placeholders
from ringfence.enforcement.sandbox import Listeners, LiveSandbox
from ringfence.gateways.egress import refusing
from ringfence.gateways.egress.arrival import accept_plain, accept_proxied, accept_tls
from ringfence.gateways.egress.name_server import NameConnection, NameServer
from ringfence.gateways.egress.place import Leaves, Means, Place, Promises
from ringfence.transport.certificate import SandboxAuthority
from ringfence.transport.client import Pool
from ringfence.transport.datagram import Datagrams, is_own
from ringfence.transport.deadline import Sweeper
from ringfence.transport.http import Headers, Request, Response
from ringfence.transport.limits import ClientLimits, ServerLimits
from ringfence.transport.resolver import Lookup, Resolver, look_up
from ringfence.transport.service import Service
from ringfence.transport.tls import client_context

_LOG = logging.getLogger(__name__)

_SETTLE_S: Final = 2.0
"""How long requests that were cut may take to say so on the record."""
_UPSTREAM: Final = ClientLimits(connections_per_origin=64, connections=256)

Factory = Callable[[], asyncio.Protocol]


@final
class EgressDoor:
    """Implements `enforcement.sandbox.SandboxDoor`. Every sandbox has its own pool and authority.

    INVARIANT: nothing that one sandbox made (connections, sessions, certificates, addresses of
    names) is ever used for another.
    """

    def __init__(
        self,
        means: Means,
        *,
        own_ports: Callable[[], frozenset[int]] = frozenset,
        lookup: Lookup = look_up,
    ) -> None:
        """`own_ports` are those that the plane itself listens on: they are never reached."""
        self._means = means
        self._own_ports = own_ports
        self._lookup = lookup
        self._places: dict[str, _Serving] = {}
        self._contexts: dict[str, tuple[int, ssl.SSLContext]] = {}

    async def serve(self, sandbox: LiveSandbox, listeners: Listeners) -> None:
        """Accept on the listeners that are for egress. Raises OSError."""
        serving = _Serving(self._place(sandbox))
        self._places[sandbox.id] = serving
        try:
            for kind, listener in listeners:
                await serving.open(kind, listener)
        except BaseException:
            await self.stop(sandbox)
            raise

    async def stop(self, sandbox: LiveSandbox) -> None:
        """Accept no more and cut what is open; harmless if it is not served."""
        serving = self._places.pop(sandbox.id, None)
        if serving is not None:
            await serving.close()

    def _place(self, box: LiveSandbox) -> Place:
        loop = asyncio.get_running_loop()
        limits = self._means.limits
        rendered = partial(_engine_refusal, self._means, box)
        service = Service(
            handle=_unhandled,
            render_refusal=rendered,
            on_error=_failed,
            limits=ServerLimits(connections=limits.connections),
            loop=loop,
            sweeper=Sweeper(loop),
            admits=lambda port: box.is_open and box.owns(port),
        )
        check = partial(self._check, box)
        resolver = Resolver(_UPSTREAM.addresses_s, partial(self._look_up, box), check=check)
        authority = box.authority
        holders = box.placeholders
        return Place(
            means=self._means,
            box=box,
            pool=Pool(limits=_UPSTREAM, tls=self._context(box), resolver=resolver),
            service=service,
            leaves=cast("Leaves", authority) if isinstance(authority, SandboxAuthority) else None,
            placeholders=holders if isinstance(holders, Placeholders) else None,
            watches=holders is not None and bool(holders.variables),
            promises=Promises(),
            handshakes=Handshakes(limits.handshakes, self._means.clock.monotonic_us()),
        )

    def _context(self, box: LiveSandbox) -> ssl.SSLContext:
        """Whom upstreams are trusted by; making one takes tens of milliseconds."""
        path = box.caller.runtime.organisation.egress.authority
        file = Path(path) if path else None
        changed_ns = file.stat().st_mtime_ns if file is not None and file.exists() else 0
        known = self._contexts.get(path)
        if known is None or known[0] != changed_ns:
            known = self._contexts[path] = (changed_ns, client_context(file))
        return known[1]

    async def _look_up(self, box: LiveSandbox, host: str, port: int) -> list[str]:
        pinned = box.caller.runtime.organisation.egress.addresses.get(host)
        return [pinned] if pinned is not None else await self._lookup(host, port)

    def _check(self, box: LiveSandbox, host: str, port: int, address: str) -> None:
        """Refuse an address that leads inside, or to the plane itself."""
        fault = self._fault(box, host, port, address)
        if fault:
            agent = box.caller.runtime.agent
            why = reason.address_refused(agent, host, address, fault)
            raise UnsentError(Code.DESTINATION_REFUSED, why.message)

    def _fault(self, box: LiveSandbox, host: str, port: int, address: str) -> str:
        runtime = box.caller.runtime
        rules = runtime.organisation.egress
        if port in self._own_ports() and is_own(address):
            return "is this plane itself"
        # An address that the operator wrote down, as it is, was meant.
        if address == host or rules.addresses.get(host) == address:
            return ""
        networks = [ipaddress.ip_network(each) for each in rules.networks]
        fault = address_fault(address, networks)
        if fault:
            return fault
        parsed = ipaddress.ip_address(address)
        is_listed = any(parsed.version == each.version and parsed in each for each in networks)
        return "" if is_listed or not is_own(address) else "is this machine itself"


@final
class _Serving:
    """The listeners of one sandbox."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._names = NameServer(place)
        self._servers: list[asyncio.Server] = []
        self._datagrams: list[Datagrams] = []
        self._factories: dict[ListenerKind, Factory] = {
            ListenerKind.PROXY: partial(accept_proxied, place),
            ListenerKind.HTTP: partial(accept_plain, place),
            ListenerKind.HTTPS: partial(accept_tls, place),
            ListenerKind.DNS_TCP: partial(NameConnection, place, self._names),
        }

    async def open(self, kind: ListenerKind, listener: socket.socket) -> None:
        """Accept on a listener, if it is one for egress."""
        if kind is ListenerKind.DNS_UDP:
            self._datagrams.append(Datagrams(listener, self._names.take))
            return
        factory = self._factories.get(kind)
        if factory is not None:
            loop = self._place.service.loop
            listener.settimeout(0)
            self._servers.append(await loop.create_server(factory, sock=listener))

    async def close(self) -> None:
        """Cut everything, and wait until it is on the record."""
        place = self._place
        place.is_closed = True
        for server in self._servers:
            server.close()
        for each in self._datagrams:
            each.close()
        service = place.service
        service.drain()
        for work in tuple(service.works):
            work.cancel()
        for task in tuple(place.waiting):
            task.cancel()
        for tunnel in tuple(place.tunnels):
            tunnel.cut()
        for connection in tuple(service.connections):
            connection.cut()
        if service.awaited or service.works:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_S):
                    await service.emptied.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await place.pool.close()


def _engine_refusal(
    means: Means, box: LiveSandbox, status: int, code: str, message: str
) -> tuple[Headers, bytes]:
    """A refusal of the HTTP engine itself, which is on the record like any other."""
    known = Code(code) if code in set(Code) else Code.REQUEST_MALFORMED
    why = Reason(code=known, message=f"Ringfence refused this request: {message}.")
    refusing.record(means, box, why, resource="?", operation="http")
    del status
    _, headers, body = refusing.rendered(why)
    return headers, body


def _unhandled(_request: Request, _response: Response) -> None:
    raise RuntimeError("every connection of a sandbox has a handler of its own")


def _failed(request: Request | None, error: Exception) -> None:
    del request
    _LOG.error("a request through egress failed unexpectedly", exc_info=error)
