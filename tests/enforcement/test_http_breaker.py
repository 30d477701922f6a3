"""Breakers of hosts, and of the secrets that are sent to them."""

import asyncio

from tests.gateways.world import World, agent

from ringfence.decisions.breaker import State
from ringfence.domain.model import UpstreamKind
from ringfence.domain.verdict import Code, Deny, Throttle
from ringfence.enforcement.http_breaker import HttpBreakers

THERE = "api.example:443"


def breakers(world: World) -> HttpBreakers:
    return HttpBreakers(world.worker.watch.breakers, world.clock)


async def away() -> None:
    world = World()
    found = breakers(world)
    for _ in range(5):
        assert found.refusal(agent(), "org_acme", THERE, ()) is None
        found.failed("org_acme", THERE, (), "provider_timeout")
    refused = found.refusal(agent(), "org_acme", THERE, ())
    assert isinstance(refused, Throttle)
    assert refused.reason.code is Code.CIRCUIT_OPEN
    assert found.refusal(agent(), "org_acme", "other.example:443", ()) is None
    assert found.refusal(agent(), "org_other", THERE, ()) is None
    world.clock.advance(6_000_000)
    assert found.refusal(agent(), "org_acme", THERE, ()) is None
    assert found.departed("org_acme", THERE, ())
    found.lapsed("org_acme", THERE, ())
    assert found.departed("org_acme", THERE, ())
    found.answered("org_acme", THERE, (), 200)
    assert not world.worker.watch.breakers.known


def test_a_host_that_fails_is_left_alone_and_then_probed() -> None:
    asyncio.run(away())


async def refused() -> None:
    world = World()
    found = breakers(world)
    for _ in range(3):
        found.answered("org_acme", THERE, ("crm",), 401)
    verdict = found.refusal(agent(), "org_acme", THERE, ("crm",))
    assert isinstance(verdict, Deny)
    assert verdict.reason.code is Code.PROVIDER_CREDENTIAL
    assert found.refusal(agent(), "org_acme", THERE, ()) is None
    (key,) = world.worker.watch.breakers.known
    assert key.kind is UpstreamKind.CREDENTIAL
    assert world.worker.watch.breakers.known[key].state is State.OPEN


def test_a_secret_that_is_refused_is_not_sent_again_and_again() -> None:
    asyncio.run(refused())


async def fine() -> None:
    world = World()
    found = breakers(world)
    for status in (200, 301, 404, 500, 401):
        found.answered("org_acme", THERE, (), status)
    assert not world.worker.watch.breakers.known
    found.answered("org_acme", THERE, (), 503)
    found.answered("org_acme", THERE, (), 200)
    assert not world.worker.watch.breakers.known


def test_an_answer_speaks_for_a_host_even_if_it_is_an_error() -> None:
    asyncio.run(fine())


async def crowd() -> None:
    world = World()
    found, known = breakers(world), world.worker.watch.breakers.known
    for _ in range(5):
        found.failed("org_acme", THERE, (), "provider_timeout")
    for _ in range(3):
        found.answered("org_acme", THERE, ("crm",), 401)
    for number in range(20_000):
        found.failed("org_acme", f"n{number}.example:443", (), "provider_unavailable")
        assert len(known) <= 4096
    assert isinstance(found.refusal(agent(), "org_acme", THERE, ()), Throttle)
    assert isinstance(found.refusal(agent(), "org_acme", THERE, ("crm",)), Throttle)
    assert any(each.kind is UpstreamKind.CREDENTIAL for each in known)


def test_however_many_hosts_fail_what_is_remembered_is_bounded() -> None:
    """Under a pattern an agent may name any number of hosts, none of which there need to be."""
    asyncio.run(crowd())
