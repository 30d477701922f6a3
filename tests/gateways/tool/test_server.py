import pytest
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, play

from ringfence.domain.tool import ServerEra
from ringfence.protocols.mcp.version import Era
from ringfence.testing.tools.plan import Plan


@pytest.mark.parametrize(
    ("eras", "is_modern"), [("both", True), ("legacy", False), ("modern", True)]
)
def test_a_server_is_asked_once_which_era_it_speaks(
    eras: str,
    is_modern: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    async def scene(world: World) -> None:
        links = world.worker.tooling.links
        link = links.find(world.config, "crm")
        assert link is not None
        assert link.era_at_once(Era.MODERN) is None
        assert await link.probed() is is_modern
        assert link.era_at_once(Era.MODERN) is (Era.MODERN if is_modern else Era.LEGACY)
        probes = len(world.journal.requests)
        assert await link.probed() is is_modern
        assert len(world.journal.requests) == probes
        assert links.find(world.config, "crm") is link
        assert links.find(world.config, "none") is None

    play(scene, Plan(name="crm", eras=eras))


def test_a_list_holds_as_its_server_says_but_for_a_minute_at_most() -> None:
    async def scene(world: World) -> None:
        link = world.worker.tooling.links.find(world.config, "crm")
        assert link is not None
        second_us = 1_000_000
        link.speaks_modern, link.held_ms = True, 3_600_000
        link.asked(7 * second_us)
        assert not link.is_held(7 * second_us)  # nothing was listed yet
        link.listed = (b"{}",)
        assert link.is_held(66 * second_us)
        assert not link.is_held(67 * second_us)
        assert link.left_ms(67 * second_us) == 3_540_000
        link.held_ms = 2_000
        assert link.is_held(9 * second_us - 1)
        assert not link.is_held(9 * second_us)
        assert link.left_ms(60 * second_us) == 0
        world.worker.tooling.dispatcher.changed()  # and with another credential, another list
        assert not link.is_held(8 * second_us)
        link.asked(7 * second_us)
        assert link.is_held(8 * second_us)
        link.speaks_modern = False  # then its sessions may each have another list
        assert not link.is_held(8 * second_us)

    play(scene)


def test_a_server_that_is_defined_anew_is_asked_anew() -> None:
    async def scene(world: World) -> None:
        before = world.worker.tooling.links.find(world.config, "crm")
        await world.reload_server("crm", world.servers["crm"].url + "?x=1")
        assert world.worker.tooling.links.find(world.config, "crm") is not before
        begun = await Client(world).begin()
        assert begun["status"] == 200

    play(scene)


def test_a_server_is_not_asked_where_the_configuration_says() -> None:
    async def scene(world: World) -> None:
        link = world.worker.tooling.links.find(world.config, "crm")
        assert link is not None
        assert link.era_at_once(Era.MODERN) is Era.LEGACY

    play(scene, era=ServerEra.LEGACY)
