"""Names for a sandbox: answered here, recorded, and never asked for outside."""

import asyncio
import contextlib
import socket
import struct
from pathlib import Path

import pytest
from tests.gateways.egress.outside import HOST, INSIDE, Outside
from tests.gateways.egress.test_traffic import policies, tell
from tests.protocols.test_dns import asked

from ringfence.domain.destination import Authority
from ringfence.gateways.egress.name_server import NameConnection, NameServer
from ringfence.protocols.dns import AAAA, Rcode


async def ask(place: Outside, *messages: bytes) -> list[bytes]:
    """Ask over TCP, all at once."""
    reader, writer = await asyncio.open_connection(INSIDE, place.dns)
    writer.write(b"".join(len(each).to_bytes(2) + each for each in messages))
    answers = []
    async with asyncio.timeout(60):
        for _ in messages:
            size = int.from_bytes(await reader.readexactly(2))
            answers.append(await reader.readexactly(size))
    writer.close()
    return answers


def rcode(answer: bytes) -> int:
    return int(struct.unpack_from("!6H", answer)[1]) & 0x000F


def count(answer: bytes) -> int:
    return int(struct.unpack_from("!6H", answer)[3])


def test_a_name_in_scope_has_an_address_of_ours_and_no_other_exists(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        first, again, six, text, other, below = await ask(
            place,
            asked(HOST.encode()),
            asked(b"ALLOWED.test"),
            asked(HOST.encode(), AAAA),
            asked(HOST.encode(), 16),
            asked(b"evil.test"),
            asked(b"secret." + HOST.encode()),
        )
        assert [rcode(each) for each in (first, again, six, text)] == [Rcode.OK] * 4
        assert [count(each) for each in (first, again, six, text)] == [1, 1, 0, 0]
        assert first[-4:] == again[-4:]
        assert first[-4:-2] == bytes((198, 18))
        assert [rcode(each) for each in (other, below)] == [Rcode.NO_SUCH_NAME] * 2
        assert place.host.connections == 0
        seen = dict(place.seen("dns.query"))
        assert seen["evil.test"]["verdict"] == "deny"
        assert seen[HOST]["verdict"] == "allow"

    tell(tmp_path, story)


def test_what_policies_forbid_for_good_has_no_address(tmp_path: Path) -> None:
    text = 'forbid (principal, action == Action::"http.request", resource);'

    async def story(place: Outside) -> None:
        (answer,) = await ask(place, asked(HOST.encode()))
        assert rcode(answer) == Rcode.NO_SUCH_NAME

    tell(tmp_path, story, more=policies(text))


def test_names_that_look_like_data_are_a_finding(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        names = [b"%060d.evil.test" % number for number in range(12)]
        await ask(place, *map(asked, names))
        changes = place.world.ledger.changes
        assert changes.count("finding.dns_exfiltration") == 1
        (_, detail) = place.seen("dns.query")[0]
        assert detail["labels"] == "60"

    tell(tmp_path, story)


def test_what_is_no_question_gets_a_fault_and_a_flood_is_cut(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        (answer,) = await ask(place, asked(b"a", flags=0x2900))
        assert rcode(answer) == Rcode.FORMAT_ERROR
        reader, writer = await asyncio.open_connection(INSIDE, place.dns)
        writer.write(b"\xff\xff" + bytes(6000))
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()

    tell(tmp_path, story)


class Slow(asyncio.Transport):
    """A client that takes nothing more after the first answer."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[bytes] = []
        self.is_heard = True
        self.connection: NameConnection | None = None

    def get_extra_info(self, name: str, default: object = None) -> object:
        del name
        return default

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.is_heard = False

    def resume_reading(self) -> None:
        self.is_heard = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said.append(bytes(data))
        assert self.connection is not None
        if len(self.said) == 1:
            self.connection.pause_writing()


def test_who_takes_no_answers_is_given_no_more_of_them(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        served = place.served
        served.service.admits = None
        slow, connection = Slow(), NameConnection(served, NameServer(served))
        slow.connection = connection
        connection.connection_made(slow)
        message = asked(b"a.stranger.test")
        connection.data_received((len(message).to_bytes(2) + message) * 1000 + b"\0")
        assert (len(slow.said), slow.is_heard) == (1, False)
        connection.resume_writing()
        assert (len(slow.said), slow.is_heard) == (1000, True)
        connection.data_received(message[:0] + b"\x0c" + message[:12])
        assert len(slow.said) == 1001
        connection.connection_lost(None)

    tell(tmp_path, story)


def test_an_ended_run_resolves_nothing(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        live = place.box.live
        place.world.worker.invocations.finish(live, place.world.clock.now_us())
        path = place.world.worker.egress.path
        assert not path.may_resolve(place.box.caller, live, Authority(HOST))

    tell(tmp_path, story)


def test_questions_in_datagrams_are_answered_alike_to_the_sandbox_alone(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        loop = asyncio.get_running_loop()
        (over_tcp,) = await ask(place, asked(HOST.encode()))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0)
            client.connect((INSIDE, place.udp))
            client.send(asked(HOST.encode()))
            async with asyncio.timeout(60):
                assert await loop.sock_recv(client, 600) == over_tcp
            place.box.is_open = False
            client.send(asked(HOST.encode()))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await loop.sock_recv(client, 600)

    tell(tmp_path, story)
