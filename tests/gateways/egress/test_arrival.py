"""Connections out of a sandbox: every trick about where they go is refused, and on the record."""

import asyncio
import ssl
from pathlib import Path

import pytest
from tests.gateways.egress.outside import HOST, INSIDE, Outside
from tests.gateways.egress.test_traffic import tell

from ringfence.decisions.handshake import HandshakeLimits, Handshakes

NOBODY = ssl.create_default_context()


def refused(place: Outside) -> None:
    """Nothing has left, and it is on the record."""
    assert place.host.heard == []
    assert place.host.connections == 0
    assert place.world.ledger.intents == []
    assert place.world.ledger.refusals


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:443",
        "0:443",
        "0x7f.1:443",
        "2130706433:443",
        "127.1:443",
        "[::1]:443",
        "[::ffff:127.0.0.1]:443",
        "169.254.169.254:80",
        "[fd00:ec2::254]:80",
        "[64:ff9b::7f00:1]:443",
        "allowed.test.:443",
        "allowed.test",
        "allowed.test:",
        "allowed.test:22",
        "evil.test:443",
        "user@allowed.test:443",
        "allowed.test%2eevil:443",
        "evil.test\x01.allowed.test:443",
        "xn--llowed-test:443",
        "/etc/passwd",
        "http://allowed.test:443",
    ],
)
def test_a_tunnel_to_anywhere_else_is_refused(tmp_path: Path, target: str) -> None:
    async def story(place: Outside) -> None:
        said = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("latin-1")
        answer = await place.say(said, place.proxy)
        status = answer.split(b" ")[1]
        assert status in {b"400", b"403"}, answer
        refused(place)

    tell(tmp_path, story)


def test_the_refusal_of_a_tunnel_says_why_where_clients_show_it(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        with pytest.raises(ConnectionRefusedError) as caught:
            await place.tunnel("evil.test:443")
        first = str(caught.value).split("\r\n")[0]
        assert first.startswith("HTTP/1.1 403 Ringfence stopped this call: agent `triage` has no")
        assert "ringfence-refusal: out_of_scope" in str(caught.value)
        (refusal,) = place.world.ledger.refusals
        assert refusal.resource == "evil.test:443"
        assert refusal.sandbox == place.box.id
        assert refusal.invocation == place.box.live.id
        (subject, detail) = place.seen("connection")[0]
        assert subject == "evil.test:443"
        assert detail == {"how": "connect", "verdict": "deny", "why": "out_of_scope"}

    tell(tmp_path, story)


@pytest.mark.parametrize(
    "lines",
    [
        "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: allowed.test:1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: evil.test\r\n\r\n",
        "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET https://evil.test/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        (
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        ),
        "POST / HTTP/1.1\r\nHost: {host}\r\nX-HTTP-Method-Override: DELETE\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nX-Original-URL: /admin\r\n\r\n",
        "GET /allowed/../admin HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET /%2e%2e/admin HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET /a\\..\\b HTTP/1.1\r\nHost: {host}\r\n\r\n",
        (
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ),
        (
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n"
            "GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ),
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: +5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\nHost: {host}\n\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nX: a\nY: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nX: a\0b\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: {host}\r\n\r\n",
    ],
)
def test_a_request_in_a_tunnel_goes_nowhere_else(tmp_path: Path, lines: str) -> None:
    async def story(place: Outside) -> None:
        host = f"{HOST}:{place.port}"
        reader, writer = await place.tunnel(host)
        writer.write(lines.replace("{host}", host).encode("latin-1"))
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert head.split(b" ")[1] in {b"400", b"403", b"405", b"505"}, head
        refused(place)

    tell(tmp_path, story)


@pytest.mark.parametrize(
    "body",
    [
        b"4;" + b"x" * 100_000 + b"\r\nabcd\r\n0\r\n\r\n",
        b"0x4\r\nabcd\r\n0\r\n\r\n",
        b"4\nabcd\n0\n\n",
        b"-1\r\n\r\n",
        b"4\r\nabcdX\r\n0\r\n\r\n",
    ],
)
def test_a_body_whose_chunks_lie_is_never_a_second_request(tmp_path: Path, body: bytes) -> None:
    async def story(place: Outside) -> None:
        head = f"POST / HTTP/1.1\r\nHost: {HOST}:{place.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
        reader, writer = await place.tunnel(f"{HOST}:{place.port}")
        writer.write(head.encode() + body)
        async with asyncio.timeout(30):
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert answer.split(b" ")[1] in {b"400", b"403"}, answer
        refused(place)

    tell(tmp_path, story)


def test_the_second_request_of_a_connection_is_judged_like_the_first(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        host = f"{HOST}:{place.port}"
        reader, writer = await place.tunnel(host)
        good = f"GET /1 HTTP/1.1\r\nHost: {host}\r\n\r\n"
        bad = f"GET /2 HTTP/1.1\r\nHost: other.test:{place.port}\r\n\r\n"
        writer.write((good + bad + good).encode())
        statuses = []
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            statuses.append(head.split(b" ")[1])
            length = next(x for x in head.split(b"\r\n") if x.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
        writer.close()
        assert statuses == [b"200", b"403", b"200"]
        assert [each.line for each in place.host.heard] == [b"GET /1 HTTP/1.1"] * 2

    tell(tmp_path, story, hosts=(HOST + ":{port}", "other.test:{port}"))


async def hello(place: Outside, name: str | None, authority: str = "") -> None:
    """TLS with a name of one's own; raises what comes of it."""
    authority = authority or f"{HOST}:{place.port}"
    reader, writer = await asyncio.open_connection(INSIDE, place.proxy)
    writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    trust = place.trust
    trust.check_hostname = False
    try:
        await writer.start_tls(trust, server_hostname=name)
    finally:
        writer.close()


def test_the_name_in_tls_must_be_that_of_the_tunnel(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        for name in ("other.test", "evil.test", f"x.{HOST}"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await hello(place, name)
        refused(place)
        codes = [each.decision.code for each in place.world.ledger.refusals]
        assert set(codes) == {"destination_refused"}

    tell(tmp_path, story, hosts=(HOST + ":{port}", "other.test:{port}"))


def test_without_a_name_in_tls_that_of_the_tunnel_holds(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        await hello(place, None)
        assert place.world.ledger.refusals == []

    tell(tmp_path, story)


@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x01\x02", b"\x16\x03\x01\x00\x05hello", b"helo x\r\n"],
)
def test_a_tunnel_carries_nothing_but_tls_and_http(tmp_path: Path, said: bytes) -> None:
    async def story(place: Outside) -> None:
        host = f"{HOST}:{place.port}"
        connect = f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        answer = await place.say(connect + said, place.proxy)
        assert answer.startswith(b"HTTP/1.1 200 Connection established\r\n\r\n")
        refused(place)

    tell(tmp_path, story)


def test_a_program_that_ignores_proxies_is_caught(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        reader, writer = await asyncio.open_connection(
            INSIDE, place.port, ssl=place.trust, server_hostname=HOST
        )
        host = f"{HOST}:{place.port}"
        writer.write(f"GET /caught HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        assert place.host.heard[0].line == b"GET /caught HTTP/1.1"
        subject, detail = place.seen("connection")[0]
        assert (subject, detail["how"], detail["verdict"]) == (host, "transparent", "allow")

    tell(tmp_path, story)


@pytest.mark.parametrize("name", [None, "evil.test", f"evil.{HOST}"])
def test_one_that_names_nobody_or_somebody_else_is_not(tmp_path: Path, name: str | None) -> None:
    async def story(place: Outside) -> None:
        trust = place.trust
        trust.check_hostname = False
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(
                INSIDE, place.port, ssl=trust, server_hostname=name or INSIDE
            )
        refused(place)
        subject, detail = place.seen("connection")[0]
        assert detail["verdict"] == "deny"
        assert subject == f"{name or INSIDE}:{place.port}"

    tell(tmp_path, story)


def test_an_address_that_was_given_for_a_name_is_good_for_that_name_alone(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        (serving,) = place.world.worker.egress.door._places.values()  # noqa: SLF001 (no netns here)
        promises = serving._place.promises  # noqa: SLF001 (likewise)
        promises._by_address[INSIDE] = "other.test"  # noqa: SLF001 (as if it had been asked for)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(INSIDE, place.port, ssl=place.trust, server_hostname=HOST)
        refused(place)

    tell(tmp_path, story)


def test_plain_http_to_where_tls_is_declared_is_refused(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        host = "allowed.test"
        request = f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        assert (await place.say(request, place.proxy)).split(b" ")[1] == b"403"
        mixed = f"GET http://evil.test/ HTTP/1.1\r\nHost: {HOST}:{place.plain}\r\n\r\n".encode()
        assert (await place.say(mixed, place.proxy)).split(b" ")[1] == b"403"
        refused(place)

    tell(tmp_path, story)


def whys(place: Outside) -> list[str]:
    """Why each connection was not taken."""
    return [detail.get("why", "") for _, detail in place.seen("connection")]


def test_a_client_that_does_not_trust_us_is_on_the_record(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            await place.tunnel(f"{HOST}:{place.port}", trust=NOBODY)
        async with asyncio.timeout(60):
            while not any(why.startswith("handshake: ") for why in whys(place)):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.005)
        assert place.host.connections == 0

    tell(tmp_path, story)


def handshakes(place: Outside, limits: HandshakeLimits) -> Handshakes:
    """Let this sandbox have so many."""
    made = place.served.handshakes = Handshakes(limits, place.world.clock.monotonic_us())
    return made


async def knocks(place: Outside, count: int) -> int:
    """So many at once; how many were let in."""
    where = f"{HOST}:{place.port}"
    found = await asyncio.gather(
        *[place.tunnel(where) for _ in range(count)], return_exceptions=True
    )
    opened = [each for each in found if isinstance(each, tuple)]
    for _, writer in opened:
        writer.close()
    return len(opened)


def test_a_flood_of_handshakes_is_refused_on_the_record(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        handshakes(place, HandshakeLimits(burst=12, per_second=1, new_host=8))
        assert await knocks(place, 20) == 5
        assert await knocks(place, 5) == 0
        detail = {"how": "connect", "verdict": "deny", "why": "rate_exceeded"}
        assert (f"{HOST}:{place.port}", detail) in place.seen("connection")
        (refusal,) = place.world.ledger.refusals
        assert refusal.resource == f"{HOST}:{place.port}"
        assert "too many TLS connections" in refusal.decision.message
        place.world.clock.advance(3_000_000)
        assert await knocks(place, 5) == 3

    tell(tmp_path, story)


def test_a_client_that_never_finishes_its_handshakes_gets_only_so_many(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        handshakes(place, HandshakeLimits(open=3))
        hello = ssl.create_default_context()
        stuck = []
        for _ in range(3):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            with pytest.raises(ssl.SSLWantReadError):
                hello.wrap_bio(incoming, outgoing, server_hostname=HOST).do_handshake()
            reader, writer = await asyncio.open_connection(INSIDE, place.port)
            writer.write(outgoing.read())
            assert (await reader.read(1))[:1] == b"\x16"  # it answers, and waits for the rest
            stuck.append(writer)
        assert await knocks(place, 2) == 0
        stuck.pop().close()
        async with asyncio.timeout(60):
            while not await knocks(place, 1):  # noqa: ASYNC110 (until it is seen that one has left)
                await asyncio.sleep(0.01)
        for writer in stuck:
            writer.close()

    tell(tmp_path, story)


def test_sixty_connections_at_once_are_nothing_unusual(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        assert await knocks(place, 60) == 60
        assert place.world.ledger.refusals == []

    tell(tmp_path, story)
