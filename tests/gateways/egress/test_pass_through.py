"""Hosts whose TLS is not looked into."""

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from tests.gateways.egress.outside import HOST, Outside
from tests.gateways.egress.test_traffic import policies, tell
from tests.gateways.world import agent

from ringfence.domain.agent import Limits
from ringfence.domain.egress import EgressRules
from ringfence.domain.event import Status

RULES = EgressRules(uninspected=("*.wide.test:8443",))
NAME = "a.wide.test"


async def reached(place: Outside) -> bytes:
    """One request to the host itself, whose own certificate is seen."""
    rules = replace(place.world.config.egress, uninspected=(f"*.wide.test:{place.port}",))
    await place.world.reload(replace(place.world.config, egress=rules))
    trust = ssl.create_default_context()
    place.host.authority.configure_trust(trust)
    reader, writer = await place.tunnel(f"{NAME}:{place.port}", trust=trust)
    writer.write(f"GET /p HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


def test_it_is_the_host_s_own_certificate_and_marked_in_the_record(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        assert (await reached(place)).startswith(b"HTTP/1.1 200 ")
        await place.settled()
        (intent,) = place.world.ledger.intents
        (outcome,) = place.world.ledger.outcomes
        assert (intent.operation, intent.permission) == ("TUNNEL", "consequential")
        assert outcome.uninspected
        assert outcome.status is Status.OK
        assert outcome.address == "127.0.0.2"
        assert outcome.sent_bytes > 100
        assert outcome.received_bytes > 100

    tell(tmp_path, story, hosts=("*.wide.test:{port}",), rules=RULES)


def test_what_is_not_in_scope_is_not_passed_through(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        with pytest.raises(ConnectionRefusedError):
            await reached(place)
        assert place.host.connections == 0

    tell(tmp_path, story, hosts=(HOST + ":{port}",), rules=RULES)


def test_a_policy_may_forbid_it(tmp_path: Path) -> None:
    text = 'forbid (principal, action == Action::"http.request", resource);'

    async def story(place: Outside) -> None:
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await reached(place)
        assert place.host.connections == 0
        assert place.world.ledger.refusals

    tell(tmp_path, story, hosts=("*.wide.test:{port}",), rules=RULES, more=policies(text))


def test_its_bytes_are_limited_too(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
            await reached(place)
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "limit_reached")

    limits = Limits(http_call_bytes=500)
    tell(tmp_path, story, hosts=("*.wide.test:{port}",), rules=RULES, of=agent(limits=limits))


def test_another_name_in_tls_is_refused_there_as_well(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        rules = replace(place.world.config.egress, uninspected=(f"*.wide.test:{place.port}",))
        await place.world.reload(replace(place.world.config, egress=rules))
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await place.tunnel(f"{NAME}:{place.port}", name="evil.test")
        assert place.host.connections == 0
        assert place.world.ledger.refusals

    tell(tmp_path, story, hosts=("*.wide.test:{port}",), rules=RULES)


def test_without_authority_nothing_is_dialled_and_nothing_passes(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)

    async def story(place: Outside) -> None:
        rules = replace(place.world.config.egress, uninspected=(f"*.wide.test:{place.port}",))
        await place.world.reload(replace(place.world.config, egress=rules))
        trust = ssl.create_default_context()
        place.host.authority.configure_trust(trust)
        place.host.talk = talk
        reader, writer = await place.tunnel(f"{NAME}:{place.port}", trust=trust)
        authority = place.world.worker.authority
        until_us, authority.fresh_until_us = authority.fresh_until_us, 0
        writer.write(b"held")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(10), 0.1)
        authority.renew(until_us, authority.epoch)
        assert await asyncio.wait_for(reader.readexactly(4), 60) == b"held"
        authority.revoke()
        writer.write(b"lost")
        with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(4), 60)
        before = place.host.connections
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await place.tunnel(f"{NAME}:{place.port}", trust=trust)
        assert place.host.connections == before
        await place.settled()
        ends = [(each.status, each.error) for each in place.world.ledger.outcomes]
        assert ends == [(Status.CUT, "store_unavailable")] * 2

    tell(tmp_path, story, hosts=("*.wide.test:{port}",), rules=RULES)
