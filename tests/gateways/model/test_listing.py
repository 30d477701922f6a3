import asyncio

import msgspec
import pytest
from tests.gateways.world import World, code_of

from ringfence.domain.error import UnsentError


async def names(world: World, target: str = "/v1/models", **more: object) -> list[str]:
    response = await world.ask(target, b"", method="GET", **more)  # type: ignore[arg-type] # headers, token
    assert response.status == 200
    document = msgspec.json.decode(response.body)
    return [each.get("id") or each["name"] for each in document.get("data") or document["models"]]


def test_only_what_the_agent_may_use_is_listed_in_its_clients_form() -> None:
    async def story() -> None:
        world = World()
        assert await names(world) == ["small", "embed"]
        anthropic = {"anthropic-version": "2023-06-01"}
        assert await names(world, headers=anthropic) == ["claude"]
        assert await names(world, "/v1beta/models") == ["models/flash"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("target", "headers", "key"),
    [
        ("/v1/models/small", {}, "id"),
        ("/v1/models/claude", {"anthropic-version": "2023-06-01"}, "id"),
        ("/v1beta/models/flash", {}, "name"),
    ],
)
def test_one_model_is_shown(target: str, headers: dict[str, str], key: str) -> None:
    async def story() -> None:
        response = await World().ask(target, b"", method="GET", headers=headers)
        assert msgspec.json.decode(response.body)[key].endswith(target.rpartition("/")[2])

    asyncio.run(story())


def test_a_narrowed_invocation_sees_what_it_may_use() -> None:
    async def story() -> None:
        world = World()
        opened = await world.ask("/ringfence/v1/invocations", {"models": ["small", "claude"]})
        given = msgspec.json.decode(opened.body)
        assert await names(world, token=given["token"]) == ["small"]
        hidden = await world.ask("/v1/models/embed", b"", method="GET", token=given["token"])
        assert code_of(hidden) == "out_of_scope"
        await world.ask(f"/ringfence/v1/invocations/{given['id']}/finish", {})
        closed = await world.ask("/v1/models", b"", method="GET", token=given["token"])
        assert (closed.status, code_of(closed)) == (402, "invocation_closed")

    asyncio.run(story())


def test_a_listing_needs_no_provider() -> None:
    async def story() -> None:
        world = World()

        async def away(_sent: object) -> object:
            raise UnsentError("provider_unavailable", "no route")

        world.providers.answering = away  # type: ignore[assignment] # it never answers
        assert await names(world)
        assert world.providers.sent == []
        assert world.ledger.events == []

    asyncio.run(story())
