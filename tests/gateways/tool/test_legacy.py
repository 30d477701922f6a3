import pytest
from tests.gateways.tool.world import World, play, text_of

from ringfence.testing.tools.plan import Plan

ERAS = ("both", "legacy", "modern")


@pytest.mark.parametrize("eras", ERAS)
def test_a_legacy_client_works_with_servers_of_every_era(eras: str) -> None:
    async def scene(world: World) -> None:
        client = world.client()
        begun = await client.begin()
        assert begun["result"]["serverInfo"]["name"] == "crm"
        listed = await client.legacy("tools/list")
        assert listed["result"]["tools"][0]["x-vendor"] == {"kept": True}
        assert text_of(await client.legacy("tools/call", called("counter"))) == "1"
        echoed = await client.legacy("tools/call", called("echo", text="hi"))
        assert echoed["result"]["vendorField"] == "kept"
        read = await client.legacy("resources/read", {"uri": "test://note"})
        assert read["result"]["contents"][0]["text"] == "a note"
        assert [call.tool for call in world.journal.calls] == ["counter", "echo"]

    play(scene, Plan(name="crm", eras=eras))


def test_a_session_that_the_server_has_forgotten_is_begun_again_and_only_that_one() -> None:
    async def scene(world: World) -> None:
        client = world.client("/mcp")
        await client.begin()
        assert text_of(await client.legacy("tools/call", called("crm__counter"))) == "1"
        assert text_of(await client.legacy("tools/call", called("files__counter_f"))) == "1"
        world.servers["crm"].web.sessions.clear()
        assert text_of(await client.legacy("tools/call", called("crm__counter"))) == "1"
        assert text_of(await client.legacy("tools/call", called("files__counter_f"))) == "2"
        executed = [call.tool for call in world.servers["crm"].journal.calls]
        assert executed == ["counter", "counter"]

    play(scene, Plan(name="crm", eras="legacy"), Plan(name="files", eras="legacy", suffix="_f"))


def test_a_session_ends_when_its_client_says_so() -> None:
    async def scene(world: World) -> None:
        client = world.client()
        await client.begin()
        headers = [(b"mcp-session-id", client.session)]
        status, _head, _answer = await client.send(b"DELETE", headers, None)
        assert status == 200
        assert (await client.legacy("tools/list"))["status"] == 404
        await world.turns(lambda: not world.servers["crm"].web.sessions)

    play(scene)


def called(tool: str, **given: object) -> dict[str, object]:
    return {"name": tool, "arguments": given}
