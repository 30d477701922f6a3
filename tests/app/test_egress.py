"""Egress of one worker, put together."""

import asyncio

from tests.gateways.world import World


def test_each_sandbox_has_an_authority_of_its_own() -> None:
    async def story() -> None:
        egress = World().worker.egress
        one, two = egress.authority(), egress.authority()
        assert one.fingerprint != two.fingerprint
        assert b"BEGIN CERTIFICATE" in one.pem

    asyncio.run(story())


def test_the_ports_of_the_plane_are_those_that_it_was_told_of() -> None:
    async def story() -> None:
        egress = World().worker.egress
        assert egress._own_ports() == frozenset()  # noqa: SLF001 (what the door asks)
        egress.ports |= {8484, 8485}
        assert egress._own_ports() == {8484, 8485}  # noqa: SLF001 (likewise)

    asyncio.run(story())
