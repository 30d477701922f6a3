"""The door of egress: where it dials, what it never dials, and its end."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.gateways.egress.outside import HOST, INSIDE, OUTSIDE, Outside
from tests.gateways.egress.test_traffic import tell
from tests.planes import soon

from ringfence.domain.egress import EgressRules
from ringfence.domain.event import Status


async def resolved(place: Outside, *addresses: str, networks: tuple[str, ...] = ()) -> bytes:
    """One request to a name that the resolver gives these addresses for, one after the other."""
    answers = list(addresses)

    async def lookup(_host: str, _port: int) -> list[str]:
        return answers.pop(0).split() if answers else addresses[-1].split()

    door = place.world.worker.egress.door
    door._lookup = lookup  # noqa: SLF001 (the resolver of the machine, of which there is no other)
    rules = replace(place.world.config.egress, addresses={}, networks=networks)
    await place.world.reload(replace(place.world.config, egress=rules))
    return await place.get()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.2",
        "::1",
        "10.0.0.1",
        "169.254.169.254",
        "fd00:ec2::254",
        "::ffff:127.0.0.2",
        "64:ff9b::7f00:2",
        "0.0.0.0",  # noqa: S104 (an address that is refused)
        "1.1.1.1 127.0.0.2",
    ],
)
def test_a_name_that_leads_inside_is_not_dialled(tmp_path: Path, address: str) -> None:
    async def story(place: Outside) -> None:
        answer = await resolved(place, address)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"where agents do not go" in answer
        assert place.host.connections == 0
        (outcome,) = place.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.FAILED, "destination_refused")

    tell(tmp_path, story)


def test_a_listed_network_may_be_dialled_but_not_this_machine_beyond_it(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        answer = await resolved(place, OUTSIDE, networks=("127.0.0.2/32",))
        assert answer.startswith(b"HTTP/1.1 200 ")

    tell(tmp_path, story)


def test_an_answer_that_changes_between_check_and_dial_changes_nothing(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        good = await resolved(place, OUTSIDE, "169.254.169.254", networks=("127.0.0.2/32",))
        assert good.startswith(b"HTTP/1.1 200 ")
        assert place.world.ledger.outcomes[0].address == OUTSIDE
        # Asked again, the name would lead inside: the address that was checked is still used.
        assert (await place.get()).startswith(b"HTTP/1.1 200 ")
        assert {each.address for each in place.world.ledger.outcomes} == {OUTSIDE}

    tell(tmp_path, story)


def test_the_plane_itself_is_never_reached(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.world.worker.egress.ports.add(place.port)
        answer = await place.get()
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"is this plane itself" in answer
        assert place.host.connections == 0

    tell(tmp_path, story)


def test_an_address_is_reached_where_it_is_written_down(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        answer = await place.get(authority=f"{OUTSIDE}:{place.port}")
        assert answer.startswith(b"HTTP/1.1 200 ")
        with pytest.raises(ConnectionRefusedError):
            await place.get(authority=f"127.0.0.3:{place.port}")

    tell(tmp_path, story, hosts=(OUTSIDE + ":{port}",))


def test_a_connection_that_is_not_the_sandbox_s_is_dropped_unheard(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.box.is_open = False
        for port in (place.proxy, place.port, place.plain, place.dns):
            reader, writer = await asyncio.open_connection(INSIDE, port)
            try:
                writer.write(b"CONNECT allowed.test:443 HTTP/1.1\r\n\r\n")
                async with asyncio.timeout(60):
                    assert await reader.read() == b""
            except ConnectionError:
                pass
            finally:
                writer.close()
        assert place.world.ledger.intents == []

    tell(tmp_path, story)


def test_the_end_of_a_sandbox_cuts_everything_and_puts_it_on_the_record(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        begun = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            begun.set()
            await reader.read()

        place.host.talk = hang
        getting = asyncio.create_task(place.get())
        await begun.wait()
        await place.world.worker.egress.door.stop(place.box)
        assert b"200" not in await getting
        (outcome,) = place.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "shutting_down")
        for port in (place.proxy, place.port, place.plain, place.dns):
            with pytest.raises(ConnectionError):
                await asyncio.open_connection(INSIDE, port)
        await place.world.worker.egress.door.stop(place.box)
        place.world.check_books()

    tell(tmp_path, story)


def test_too_many_connections_are_not_taken(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        opened = []
        for _ in range(600):
            reader, writer = await asyncio.open_connection(INSIDE, place.port)
            opened.append((reader, writer))

        def ended() -> int:
            return sum(each.at_eof() or each.exception() is not None for each, _ in opened)

        await soon(lambda: ended() >= 600 - 512)
        for _, writer in opened:
            writer.close()

    tell(tmp_path, story, rules=EgressRules(), hosts=(HOST + ":{port}",))


async def asked_of(place: Outside, way: str, spelt: str) -> None:
    """One request by one of the ways, with the host spelt like this."""
    host = f"{spelt}:{place.port}"
    request = f"GET /{way} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    if way == "connect":
        await place.ask(f"GET /{way} HTTP/1.1\r\nHost: {host}\r\n", host)
    elif way == "tls":
        reader, writer = await asyncio.open_connection(
            INSIDE, place.port, ssl=place.trust, server_hostname=spelt.lower()
        )
        writer.write(request)
        await reader.read()
        writer.close()
    else:
        host = f"{spelt}:{place.plain}"
        target = f"http://{host}/{way}" if way == "absolute" else f"/{way}"
        request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        await place.say(request, place.proxy if way == "absolute" else place.plain)


@pytest.mark.parametrize("way", ["connect", "tls", "absolute", "plain"])
@pytest.mark.parametrize("spelt", [HOST, "Allowed.TEST"])
def test_what_is_decided_is_what_is_looked_up_dialled_and_named(
    tmp_path: Path, way: str, spelt: str
) -> None:
    async def story(place: Outside) -> None:
        looked: list[tuple[str, int]] = []

        async def lookup(host: str, port: int) -> list[str]:
            looked.append((host, port))
            return [OUTSIDE]

        place.world.worker.egress.door._lookup = lookup  # noqa: SLF001 (there is no other resolver)
        rules = replace(place.world.config.egress, addresses={}, networks=("127.0.0.2/32",))
        await place.world.reload(replace(place.world.config, egress=rules))
        await asked_of(place, way, spelt)
        (heard,) = place.host.heard
        is_tls = way in {"connect", "tls"}
        port = place.port if is_tls else place.plain
        assert heard.line == f"GET /{way} HTTP/1.1".encode()
        assert looked == [(HOST, port)]
        assert heard.header(b"host") == f"{HOST}:{port}".encode()
        assert place.host.asked_for == ([HOST] if is_tls else [])
        (intent,) = place.world.ledger.intents
        assert intent.resource == f"{HOST}:{port}"

    tell(tmp_path, story)


def test_authorities_are_read_again_when_their_file_changes(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        door = place.world.worker.egress.door
        first = door._context(place.box)  # noqa: SLF001 (what a sandbox of tomorrow gets)
        assert door._context(place.box) is first  # noqa: SLF001 (likewise)
        file = Path(place.box.caller.runtime.organisation.egress.authority)
        os.utime(file, ns=(1, 1))
        assert door._context(place.box) is not first  # noqa: SLF001 (likewise)

    tell(tmp_path, story)
