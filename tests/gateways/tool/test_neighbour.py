import asyncio
from pathlib import Path

from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, text_of, world

from ringfence.gateways.tool.neighbour import Neighbours
from ringfence.testing.tools.plan import Plan


def test_a_sessions_name_says_whose_it_is() -> None:
    here = Neighbours(number=2, count=3, folder=Path("x"))
    assert [here.owner_of(name) for name in ("3.abc", "abc", ".x", "-1.x", "²3.x")] == [
        3,
        0,
        0,
        0,
        0,
    ]
    homes = {here.home_of((str(number),)) for number in range(50)}
    assert homes == {1, 2, 3}


async def two(folder: Path, plan: Plan, scene: object) -> None:
    """Two workers with one tool server between them."""
    async with world(plan, number=1, count=2, folder=folder) as first:
        address = first.servers[plan.name].url
        async with world(plan, number=2, count=2, folder=folder, url=address) as second:
            await scene(first, second)  # type: ignore[operator] # (a scene)


def test_a_session_is_used_through_any_worker_and_executed_by_its_own(tmp_path: Path) -> None:
    async def scene(first: World, second: World) -> None:
        client = Client(first)
        await client.begin(elicitation={})
        away = Client(second)
        away.session = client.session
        counts = [
            text_of((await each.ask("tools/call", {"name": "counter"}))[-1])
            for each in (client, away, client)
        ]
        assert counts == ["1", "2", "3"]
        assert (len(first.ledger.intents), len(second.ledger.intents)) == (3, 0)
        assert [call.tool for call in first.journal.calls] == ["counter"] * 3
        answer = {"action": "accept", "content": {"name": "Ada"}}
        *_, asked = await away.answering("tools/call", {"name": "ask", "arguments": {}}, answer)
        assert text_of(asked) == "accept: Ada"
        stranger = second.client(name="other")
        stranger.session = client.session
        assert (await stranger.legacy("tools/list"))["status"] == 404

    asyncio.run(two(tmp_path, Plan(name="crm"), scene))


def test_the_owners_death_ends_its_sessions_and_says_so(tmp_path: Path) -> None:
    async def scene(first: World, second: World) -> None:
        client = Client(first)
        await client.begin()
        (tmp_path / "worker-1.sock").unlink()
        away = second.client()
        away.session = client.session
        gone = await away.legacy("tools/list")
        assert gone["status"] == 404
        assert "initialize again" in gone["error"]["message"]

    asyncio.run(two(tmp_path, Plan(name="crm"), scene))


def test_modern_requests_meet_the_same_legacy_session_in_any_worker(tmp_path: Path) -> None:
    async def scene(first: World, second: World) -> None:
        counts = []
        for each in (first, second, first, second):
            answers = await Client(each).ask("tools/call", {"name": "counter"})
            counts.append(text_of(answers[-1]))
        assert counts == ["1", "2", "3", "4"]
        [asked] = await Client(first).ask("tools/call", {"name": "ask", "arguments": {}})
        [key] = asked["result"]["inputRequests"]
        given = {key: {"action": "accept", "content": {"name": "Ada"}}}
        again = {
            "name": "ask",
            "arguments": {},
            "inputResponses": given,
            "requestState": asked["result"]["requestState"],
        }
        [answer] = await Client(second).ask("tools/call", again)
        assert text_of(answer) == "accept: Ada"

    asyncio.run(two(tmp_path, Plan(name="crm", eras="legacy"), scene))
