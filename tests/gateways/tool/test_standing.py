import asyncio
import json

from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, play

from ringfence.gateways.tool.channel import Wanted
from ringfence.gateways.tool.standing import listen_params, until_ready
from ringfence.testing.tools.plan import Plan


def test_what_is_wanted_is_asked_for() -> None:
    params = json.loads(listen_params(Wanted(tools=False, uris=frozenset({"b", "a"}))))
    assert params["notifications"] == {
        "promptsListChanged": True,
        "resourcesListChanged": True,
        "resourceSubscriptions": ["a", "b"],
    }


def test_a_stream_whose_session_is_gone_is_begun_anew() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        web = world.servers["crm"].web
        async with client.open("", verb=b"GET") as (_, stream):
            await world.turns(lambda: web.offer.listeners)
            web.sessions.clear()
            web.offer.listeners.clear()
            web.end_streams()
            await world.turns(lambda: web.offer.listeners)
            web.offer.announce("notifications/tools/list_changed", {})
            told = await stream.next()
        assert told is not None
        assert told["method"] == "notifications/tools/list_changed"

    play(scene, Plan(name="crm", eras="legacy"))


def test_what_cannot_say_when_it_is_ready_is_not_waited_for() -> None:
    asyncio.run(until_ready(object()))
