from tests.gateways.tool.world import World, play, text_of

from ringfence.testing.tools.plan import Plan


def test_every_call_is_on_record_with_what_came_of_it() -> None:
    async def scene(world: World) -> None:
        client = world.client()
        await client.begin()
        meta = {"claudecode/toolUseId": "toolu_1"}
        await client.legacy("tools/call", {**called("add", a=1, b=2), "_meta": meta})
        await client.legacy("prompts/get", {"name": "greet", "arguments": {"name": "Ada"}})
        await world.turns(lambda: len(world.ledger.outcomes) == 2)
        first, second = world.ledger.intents
        assert (first.resource, first.operation, first.call_id) == (
            "crm__add",
            "tools/call",
            "toolu_1",
        )
        assert (second.resource, second.operation) == ("crm__prompts/get", "prompts/get")
        assert [str(each.status) for each in world.ledger.outcomes] == ["ok", "ok"]

    play(scene)


def test_modern_requests_of_two_agents_have_two_sessions_with_a_legacy_server() -> None:
    async def scene(world: World) -> None:
        one, two = world.client(), world.client(name="other")
        counts = [text_of(await one.modern("tools/call", **called("counter"))) for _ in "ab"]
        counts.append(text_of(await two.modern("tools/call", **called("counter"))))
        assert counts == ["1", "2", "1"]

    play(scene, Plan(name="crm", eras="legacy"))


def called(tool: str, **given: object) -> dict[str, object]:
    return {"name": tool, "arguments": given}
