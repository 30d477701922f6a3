"""A sandbox's ways out, with real sockets: its listeners, a host with TLS, and what reached it.

There is no namespace here: listeners are on loopback, and `allowed.test` is a host at 127.0.0.2 on
the very port of the listener, so that what was dialled is what is decided.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import trustme
from tests.approvals import News, desk
from tests.enforcement.test_sandbox_registry import Monitor, order
from tests.gateways.world import World, agent, organisation

from ringfence.domain.agent import Agent, Scope
from ringfence.domain.approval import Approval, Vote
from ringfence.domain.egress import EgressRules
from ringfence.domain.event import Observation
from ringfence.domain.monitoring import Join
from ringfence.domain.organisation import Organisation
from ringfence.domain.sandbox import ListenerKind
from ringfence.domain.secret import FromStore, SecretDefinition, SecretValue
from ringfence.enforcement.approval import ApprovalDesk
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.gateways.egress.place import Place
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds
from ringfence.transport.certificate import SandboxAuthority
from ringfence.transport.clock import SystemClock

HOST = "allowed.test"
INSIDE, OUTSIDE = "127.0.0.1", "127.0.0.2"
_PATIENCE_S = 30
"""What comes at once may take that long where the machine is busy."""
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@dataclass
class Heard:
    """One request as a host got it."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)


async def hear(reader: asyncio.StreamReader) -> Heard | None:
    """Read one request, without any of our own code."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = head[:-4].split(b"\r\n")
    headers = []
    for each in rest:
        name, _, value = each.partition(b":")
        headers.append((name.lower(), value.strip()))
    heard = Heard(line, headers, b"")
    length = heard.header(b"content-length")
    if length is not None:
        heard.body = await reader.readexactly(int(length))
    elif heard.header(b"transfer-encoding") is not None:
        heard.body = await _chunks(reader)
    return heard


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """One answer, with its body if it states its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    stated = re.search(rb"(?i)content-length: (\d+)", head)
    return head + await reader.readexactly(int(stated[1]) if stated else 0)


def plain(body: bytes = b"fine", status: bytes = b"200 OK", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


@dataclass
class Host:
    """A host on loopback; `answer` says what it answers to a request."""

    authority: trustme.CA
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    asked_for: list[str | None] = field(default_factory=list)
    """The names in the TLS hellos that it got."""
    answer: Callable[[Heard], bytes] = lambda _heard: plain()
    talk: Talk | None = None
    names: tuple[str, ...] = (HOST, "other.test", "a.wide.test", OUTSIDE)

    async def open(self, listener: socket.socket, *, is_tls: bool = True) -> asyncio.Server:
        context = None
        if is_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.authority.issue_cert(*self.names).configure_cert(context)
            context.sni_callback = lambda _tls, name, _context: self.asked_for.append(name)
        return await asyncio.start_server(self._serve, sock=listener, ssl=context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            if self.talk is not None:
                await self.talk(reader, writer)
            else:
                while (heard := await hear(reader)) is not None:
                    self.heard.append(heard)
                    writer.write(self.answer(heard))
                    await writer.drain()
        writer.close()


@dataclass
class Outside:
    """Everything around one sandbox."""

    world: World
    box: LiveSandbox
    host: Host
    port: int
    """That of the host, and of the listeners for what is caught."""
    proxy: int
    dns: int
    udp: int
    """The same over UDP."""
    plain: int
    """A host without TLS, and the listener that catches for it."""
    desk: ApprovalDesk | None = None
    news: News = field(default_factory=list)

    @property
    def trust(self) -> ssl.SSLContext:
        """What a client in the sandbox trusts."""
        authority = self.box.authority
        assert isinstance(authority, SandboxAuthority)
        return ssl.create_default_context(cadata=authority.pem.decode())

    @property
    def served(self) -> Place:
        """What the gateway keeps of it."""
        return self.world.worker.egress.door._places[self.box.id]._place  # noqa: SLF001 (nobody else needs it)

    def seen(self, what: str) -> list[tuple[str, dict[str, str]]]:
        events = [each for each in self.world.ledger.events if isinstance(each, Observation)]
        return [(each.subject, each.detail) for each in events if each.what == what]

    async def tunnel(
        self, authority: str, *, name: str | None = None, trust: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """CONNECT, and TLS inside. Raises ConnectionRefusedError with what the proxy said."""
        reader, writer = await asyncio.open_connection(INSIDE, self.proxy)
        writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            body = await reader.read()
            writer.close()
            raise ConnectionRefusedError((head + body).decode())
        await writer.start_tls(
            trust or self.trust, server_hostname=name or authority.rpartition(":")[0]
        )
        return reader, writer

    async def get(self, path: str = "/", authority: str = "", **more: Any) -> bytes:  # noqa: ANN401
        """One GET through a tunnel: everything that came back."""
        authority = authority or f"{HOST}:{self.port}"
        return await self.ask(f"GET {path} HTTP/1.1\r\nHost: {authority}\r\n", authority, **more)

    async def ask(self, head: str, authority: str = "", *, body: bytes = b"") -> bytes:
        """One request through a tunnel, closed after its answer."""
        authority = authority or f"{HOST}:{self.port}"
        reader, writer = await self.tunnel(authority)
        writer.write(head.encode("latin-1") + b"Connection: close\r\n\r\n" + body)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await reader.read()
        finally:
            writer.close()

    async def say(self, data: bytes, port: int, *, answers: int = 1) -> bytes:
        """Say this on a plain connection: so many whole answers, and all until it is over."""
        reader, writer = await asyncio.open_connection(INSIDE, port)
        writer.write(data)
        heard = b""
        async with asyncio.timeout(_PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                try:
                    for _ in range(answers):
                        heard += await _answer(reader)
                    writer.write_eof()
                    heard += await reader.read()
                except asyncio.IncompleteReadError as over:
                    heard += over.partial
        writer.close()
        return heard

    async def held(self) -> Approval:
        """The call that waits for a person, when there is one."""
        assert self.desk is not None
        async with asyncio.timeout(_PATIENCE_S):
            while not self.news:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.005)
        found = await self.desk.find("org_acme", self.news[0][1])
        assert found is not None
        return found

    async def approve(self, held: Approval) -> None:
        """Say yes to it."""
        assert self.desk is not None
        ballot = Vote(user="user:ann", approves=True, at_us=self.world.clock.now_us())
        assert isinstance(await self.desk.decide("org_acme", held.id, ballot), Approval)

    async def settled(self) -> None:
        """Wait until every request has its outcome."""
        ledger = self.world.ledger
        async with asyncio.timeout(_PATIENCE_S):
            while len(ledger.outcomes) < len(ledger.intents):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.005)


def scope(*hosts: str) -> Scope:
    return replace(agent().scope, hosts=hosts)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two listeners on one port: inside, and outside."""
    for _ in range(100):
        inside = listener()
        try:
            return inside, socket.create_server((OUTSIDE, inside.getsockname()[1]))
        except OSError:  # somebody else's
            inside.close()
    raise AssertionError("no port is free")


def datagrams() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((INSIDE, 0))
    return made


def listener() -> socket.socket:
    made = socket.create_server((INSIDE, 0))
    made.settimeout(0)
    return made


@contextlib.asynccontextmanager
async def outside(  # noqa: PLR0913 (what a test may want otherwise)
    folder: Path,
    *,
    hosts: tuple[str, ...] | None = None,
    rules: EgressRules | None = None,
    secrets: tuple[SecretDefinition, ...] = (),
    values: dict[str, str] | None = None,
    of: Agent | None = None,
    more: Callable[[Organisation], Organisation] = lambda same: same,
    asks: bool = False,
) -> AsyncIterator[Outside]:
    """A sandbox whose agent may reach `allowed.test`, and that host."""
    (https, served), (http, served_plain) = pair(), pair()
    port, plain_port = https.getsockname()[1], http.getsockname()[1]
    authority = trustme.CA()
    pem = folder / "authority.pem"
    authority.cert_pem.write_to_path(pem)
    reach = hosts or (f"{HOST}:{port}", f"{HOST}:{plain_port}")
    reach = tuple(each.format(port=port, plain=plain_port) for each in reach)
    base = of or agent()
    used = replace(
        base,
        scope=scope(*reach),
        secrets=frozenset(each.name for each in secrets),
    )
    bound = tuple(_at_port(each, port) for each in secrets)
    names = (HOST, "other.test", "a.wide.test", "stranger.test")
    named = dict.fromkeys(names, OUTSIDE)
    rules = replace(rules or EgressRules(), authority=str(pem), addresses=named)
    config = organisation(
        agents={used.name: used},
        egress=rules,
        secrets={each.name: each for each in bound},
    )
    clock = ManualClock(SystemClock().now_us())  # certificates are good for now alone
    ids, news = SequentialIds(), list[tuple[str, str]]()
    people = desk(clock, ids, news=news) if asks else None
    world = World(more(config), approvals=people, clock=clock, ids=ids)
    given = [
        SecretValue(organisation="acme", name=name, value=value)
        for name, value in (values or {}).items()
    ]
    world.worker.injections.replace_secrets(EnvironmentSecrets(frozenset(), {}, given))
    host = Host(authority)
    servers = [
        await host.open(served),
        await host.open(served_plain, is_tls=False),
    ]
    sockets = {
        ListenerKind.PROXY: listener(),
        ListenerKind.HTTP: http,
        ListenerKind.HTTPS: https,
        ListenerKind.DNS_TCP: listener(),
        ListenerKind.DNS_UDP: datagrams(),
    }
    proxy = sockets[ListenerKind.PROXY].getsockname()[1]
    dns = sockets[ListenerKind.DNS_TCP].getsockname()[1]
    udp = sockets[ListenerKind.DNS_UDP].getsockname()[1]
    registry = world.worker.sandboxing.registry
    grant = await registry.open(order())
    join = Join(
        version="1", ticket=grant.ticket, tier=grant.tier, pid=7, plan="", binds=(), kinds=()
    )
    box = await registry.join(join, tuple(sockets.items()), Monitor([]))
    made = Outside(world, box, host, port, proxy, dns, udp, plain_port, people, news)
    try:
        yield made
    finally:
        await world.worker.egress.door.stop(box)
        for server in servers:
            server.close()
        await asyncio.sleep(0.02)


def _at_port(each: SecretDefinition, port: int) -> SecretDefinition:
    """The same secret, bound to the port at which the host is in this test."""
    bindings = tuple(_moved(binding, port) for binding in each.bindings)
    return SecretDefinition(
        name=each.name,
        origin=FromStore(),
        bindings=bindings,
        placeholder=each.placeholder,
        minting=each.minting,
    )


def _moved(binding: Any, port: int) -> Any:  # noqa: ANN401 (a binding)
    return msgspec.structs.replace(binding, port=port)
