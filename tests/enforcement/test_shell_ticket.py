"""A command is settled once, whoever says so first."""

import asyncio

from tests.enforcement.cell import Cell

from ringfence.domain.event import Status
from ringfence.enforcement.shell_ticket import ExecEnding


def test_a_command_is_settled_exactly_once() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        ticket = await cell.go()
        ticket.settle(ExecEnding(status=Status.OK, exit_code=0))
        ticket.settle(ExecEnding(status=Status.FAILED))
        ticket.undo(Status.CUT, "late")
        [outcome] = cell.ledger.outcomes
        assert (outcome.status, outcome.exit_code) == (Status.OK, 0)

    asyncio.run(story())


def test_a_reload_takes_no_running_command_away() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        ticket = await cell.go()
        assert ticket.barred() is None
        assert ticket.body().whole == ticket.arguments

    asyncio.run(story())
