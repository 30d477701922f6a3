"""WebSockets out of a sandbox: judged at the handshake, read while they pass."""

import asyncio
import base64
import hashlib
from pathlib import Path

from tests.gateways.egress.outside import HOST, Outside, Talk, hear, plain
from tests.gateways.egress.test_call import VALUE, held, nowhere, with_secret
from tests.gateways.egress.test_traffic import policies, tell
from tests.protocols.test_web_socket import masked

from ringfence.domain.event import Status
from ringfence.protocols.web_socket import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    FrameReader,
    Piece,
    write_frame,
)

KEY = base64.b64encode(b"0123456789abcdef").decode()


def offer(authority: str, path: str = "/chat") -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {authority}",
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


async def offered(
    place: Outside, authority: str = "", path: str = "/chat"
) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    """Offer a WebSocket within a tunnel: the head of the answer, and the connection."""
    authority = authority or f"{HOST}:{place.port}"
    reader, writer = await place.tunnel(authority)
    writer.write(offer(authority, path))
    async with asyncio.timeout(60):
        return await reader.readuntil(b"\r\n\r\n"), reader, writer


def accepting(frames: bytes = b"", *, heard: list[bytes] | None = None) -> Talk:
    """A host that takes the offer, says these frames, and then everything back."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await hear(reader)
        assert request is not None
        assert request.header(b"sec-websocket-extensions") is None
        key = request.header(b"sec-websocket-key") or b""
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 (RFC 6455)
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n" + frames
        )
        reading, is_begun = FrameReader(is_masked=True), False
        while data := await reader.read(65_536):
            for piece in reading.feed(data):
                if heard is not None:
                    heard.append(piece.payload)
                opcode = CONTINUATION if is_begun else piece.opcode
                writer.write(write_frame(opcode, piece.payload, is_last=piece.is_last))
                is_begun = not piece.is_last

    return talk


async def messages(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    found: list[bytes] = []
    reading, parts = FrameReader(is_masked=False), b""
    async with asyncio.timeout(60):
        while len(found) < count:
            data = await reader.read(65_536)
            assert data, found
            for piece in reading.feed(data):
                parts += piece.payload
                if piece.is_last:
                    found.append(parts)
                    parts = b""
    return found


def test_frames_pass_both_ways_when_the_handshake_was_allowed(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.host.talk = accepting(write_frame(TEXT, b"welcome", is_last=True))
        head, reader, writer = await offered(place)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-accept" in head
        writer.write(masked(TEXT, b"hello") + masked(BINARY, bytes(70_000)))
        assert await messages(reader, 3) == [b"welcome", b"hello", bytes(70_000)]
        writer.close()
        await place.settled()
        (intent,) = place.world.ledger.intents
        (outcome,) = place.world.ledger.outcomes
        assert intent.permission == "consequential"
        assert outcome.status is Status.OK
        assert outcome.sent_bytes > 70_000
        assert outcome.received_bytes > 70_000

    tell(tmp_path, story)


def test_a_policy_may_forbid_it_and_a_host_may_decline_it(tmp_path: Path) -> None:
    text = """
    forbid (principal, action == Action::"http.request", resource)
    when { context.arguments has path && context.arguments.path == "/forbidden" };
    """

    async def story(place: Outside) -> None:
        for path, status in (("/forbidden", b"403"), ("/declined", b"200")):
            head, _, writer = await offered(place, path=path)
            assert head.split(b" ")[1] == status
            writer.close()
        assert len(place.host.heard) == 1
        await place.settled()

    tell(tmp_path, story, more=policies(text))


def test_what_is_no_frame_ends_it(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        heard: list[bytes] = []
        place.host.talk = accepting(heard=heard)
        _, reader, writer = await offered(place)
        writer.write(b"SSH-2.0-tunnel\r\n")
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "request_malformed")
        assert heard == []

    tell(tmp_path, story)


def test_a_secret_is_added_to_the_handshake_and_taken_out_of_frames(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        half = len(VALUE) // 2
        shown = (
            write_frame(TEXT, b"it is " + VALUE.encode()[:half], is_last=False)
            + write_frame(CONTINUATION, VALUE.encode()[half:] + b" now", is_last=True)
            + write_frame(TEXT, b"after", is_last=True)
        )
        place.host.talk = accepting(shown)
        head, reader, writer = await offered(place)
        first, second = await messages(reader, 2)
        assert first.startswith(b"it is ")
        assert first.endswith(b" now")
        assert second == b"after"
        nowhere(place, head, first)
        writer.close()
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert outcome.redactions == 1
        assert outcome.secrets == ["crm"]

    with_secret(tmp_path, story)


def test_a_secret_that_is_told_in_two_messages_is_taken_out_and_recorded(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        value = VALUE.encode()
        shown = b"".join(
            write_frame(TEXT, each, is_last=True)
            for each in (b"it is " + value[:5], value[5:] + b" now", b"after")
        )
        place.host.talk = accepting(shown)
        _, reader, writer = await offered(place)
        rest = b"*" * len(value[5:])
        assert await messages(reader, 3) == [b"it is " + value[:5], rest + b" now", b"after"]
        writer.close()
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert outcome.redactions == 1
        assert "finding.secret_shown" in place.world.ledger.changes

    with_secret(tmp_path, story)


def test_a_placeholder_in_a_frame_to_another_host_cuts_it(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        heard: list[bytes] = []
        place.host.talk = accepting(heard=heard)
        _, reader, writer = await offered(place, f"other.test:{place.port}")
        token = held(place).encode()
        writer.write(masked(TEXT, b"fine") + masked(TEXT, token[:9], is_last=False))
        await asyncio.sleep(0.05)
        writer.write(masked(CONTINUATION, token[9:]))
        async with asyncio.timeout(60):
            await reader.read()
        writer.close()
        await place.settled()
        assert token not in b"".join(heard)
        assert "finding.secret_misplaced" in place.world.ledger.changes
        (outcome,) = place.world.ledger.outcomes
        assert outcome.status is Status.CUT

    with_secret(tmp_path, story)


def test_a_control_frame_within_a_message_hides_no_placeholder(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        heard: list[bytes] = []
        place.host.talk = accepting(heard=heard)
        _, reader, writer = await offered(place, f"other.test:{place.port}")
        token = held(place).encode()
        writer.write(
            masked(TEXT, token[:9], is_last=False)
            + masked(PING, b"x" * 100)
            + masked(CONTINUATION, token[9:])
        )
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()
        await place.settled()
        assert heard == []
        assert "finding.secret_misplaced" in place.world.ledger.changes

    with_secret(tmp_path, story)


def test_many_pieces_of_a_message_that_come_together_are_searched_once(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        value = VALUE.encode()
        shown = write_frame(TEXT, b"it is ", is_last=False)
        shown += b"".join(
            write_frame(CONTINUATION, value[at : at + 1], is_last=False) for at in range(len(value))
        )
        shown += write_frame(CONTINUATION, b" ", is_last=False) * 200
        shown += write_frame(PING, b"there?", is_last=True)
        shown += write_frame(CONTINUATION, b" now", is_last=True)
        place.host.talk = accepting(shown)
        _, reader, writer = await offered(place)
        reading, frames = FrameReader(is_masked=False), list[Piece]()
        async with asyncio.timeout(60):
            while not (frames and frames[-1].is_last and frames[-1].opcode == TEXT):
                frames += reading.feed(await reader.read(65_536))
        said = b"".join(each.payload for each in frames if each.opcode == TEXT)
        assert said.startswith(b"it is ") and said.endswith(b" now")  # noqa: PT018 (one text)
        assert len(said) == len(b"it is  now") + len(value) + 200
        assert [each.payload for each in frames if each.opcode == PING] == [b"there?"]
        assert len(frames) < 200
        nowhere(place, said)
        writer.close()
        await place.settled()

    with_secret(tmp_path, story)


def test_those_whose_hosts_have_not_answered_count_too(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        asked, answer = asyncio.Event(), asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            if place.host.connections == 128:
                asked.set()
            await answer.wait()
            writer.write(plain())

        place.host.talk = talk
        authority = f"{HOST}:{place.port}"
        writers = []
        for _ in range(128):
            _, writer = await place.tunnel(authority)
            writer.write(offer(authority))
            writers.append(writer)
        async with asyncio.timeout(60):
            await asked.wait()
        head, _, writer = await offered(place)
        assert head.split(b" ")[1] == b"403"
        answer.set()
        for each in (*writers, writer):
            each.close()
        await place.settled()

    tell(tmp_path, story)


def test_only_so_many_are_open_at_once(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.host.talk = accepting()
        opened = []
        for number in range(129):
            head, _, writer = await offered(place)
            status = head.split(b" ")[1]
            assert status == (b"101" if number < 128 else b"403")
            opened.append(writer)
        opened[0].close()
        status = b"403"
        async with asyncio.timeout(60):
            while status == b"403":  # until it is seen that one has left
                head, _, writer = await offered(place)
                status = head.split(b" ")[1]
                opened.append(writer)
        assert status == b"101"
        for each in opened:
            each.close()
        await place.settled()

    tell(tmp_path, story)
