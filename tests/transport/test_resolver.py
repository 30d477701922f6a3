import asyncio

import pytest

from ringfence.domain.error import UnavailableError
from ringfence.transport.resolver import Resolver, look_up


def test_answers_are_remembered_for_a_while() -> None:
    asked: list[str] = []

    async def lookup(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["192.0.2.1"]

    async def scenario() -> None:
        resolver = Resolver(30, lookup)
        for _ in range(2):
            assert await resolver.addresses("a.example", 80) == ["192.0.2.1"]
        assert len(asked) == 1
        await resolver.addresses("b.example", 80)
        assert len(asked) == 2
        resolver.forget("a.example", 80)
        await resolver.addresses("a.example", 80)
        assert len(asked) == 3
        forgetful = Resolver(0, lookup)
        for _ in range(2):
            await forgetful.addresses("a.example", 80)
        assert len(asked) == 5

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_is_not_looked_up(address: str) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        raise AssertionError

    assert asyncio.run(Resolver(30, lookup).addresses(address, 80)) == [address]


def test_a_name_without_an_address_is_an_error() -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return []

    with pytest.raises(OSError, match="no address"):
        asyncio.run(Resolver(30, lookup).addresses("a.example", 80))


def test_the_system_knows_this_machine() -> None:
    found = asyncio.run(look_up("localhost", 80))
    assert set(found) <= {"127.0.0.1", "::1"}
    assert found


def test_one_address_that_must_not_be_dialled_is_enough_to_refuse_a_host() -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return ["192.0.2.1", "127.0.0.1"]

    def check(host: str, port: int, address: str) -> None:
        if address.startswith("127."):
            raise UnavailableError("destination_refused", f"{host}:{port} is {address}")

    async def scenario() -> None:
        resolver = Resolver(30, lookup, check=check)
        for host in ("a.example", "127.0.0.1"):
            with pytest.raises(UnavailableError, match=host):
                await resolver.addresses(host, 80)
        assert await resolver.addresses("192.0.2.1", 80) == ["192.0.2.1"]

    asyncio.run(scenario())


def test_a_name_that_changes_its_address_is_checked_each_time_and_dialled_as_checked() -> None:
    answers = iter([["192.0.2.1"], ["127.0.0.1"]])

    async def lookup(_host: str, _port: int) -> list[str]:
        return next(answers)

    def check(_host: str, _port: int, address: str) -> None:
        if address.startswith("127."):
            raise UnavailableError("destination_refused", address)

    async def scenario() -> None:
        resolver = Resolver(30, lookup, check=check)
        for _ in range(3):
            assert await resolver.addresses("a.example", 80) == ["192.0.2.1"]
        resolver.forget("a.example", 80)
        with pytest.raises(UnavailableError):
            await resolver.addresses("a.example", 80)

    asyncio.run(scenario())


def test_however_many_names_are_asked_for_few_are_remembered() -> None:
    asked: list[str] = []

    async def lookup(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["192.0.2.1"]

    async def scenario() -> None:
        resolver = Resolver(1_000_000, lookup)
        await resolver.addresses("first.example", 80)
        for number in range(2_000):
            await resolver.addresses(f"n{number}.example", 80)
        assert await resolver.addresses("n1999.example", 80) == ["192.0.2.1"]
        assert len(asked) == 2_001
        await resolver.addresses("first.example", 80)
        assert asked[-1] == "first.example"

    asyncio.run(scenario())
