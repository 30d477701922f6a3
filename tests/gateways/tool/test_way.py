import pytest
from tests.gateways.tool.world import World, play

from ringfence.gateways.tool.way import Way, page
from ringfence.protocols.mcp import listing
from ringfence.protocols.mcp.error import McpError
from ringfence.testing.tools.plan import Plan


@pytest.mark.parametrize("eras", ["legacy", "modern"])
def test_a_page_is_asked_for_in_the_words_of_the_channel(eras: str) -> None:
    async def scene(world: World) -> None:
        link = world.worker.tooling.links.find(world.config, "crm")
        assert link is not None
        is_modern = await link.probed()
        channel = link.modern() if is_modern else link.session(b"{}")
        way = Way(link=link, channel=channel)
        first = listing.read((await page(way, "tools/list", "")).result, "tools/list")
        second = listing.read((await page(way, "tools/list", first.cursor)).result, "tools/list")
        assert len(first.entries) == len(second.entries) == 2
        assert first.entries != second.entries
        with pytest.raises(McpError):
            await page(way, "no/such", "")
        await channel.close()

    play(scene, Plan(name="crm", eras=eras, page=2))
