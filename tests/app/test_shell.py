"""The parts that commands meet are joined to one path."""

import asyncio

from tests.enforcement.cell import Cell


def test_the_record_opens_what_the_door_asks_about() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        assert cell.shell.path.shell(box.id) is not None
        assert (await cell.shell.door.asked(box, cell.asked())).is_allowed
        await cell.close()
        assert cell.shell.path.shell(box.id) is None
        cell.world.check_books()

    asyncio.run(story())
