"""Which process runs what, and whose choice that was."""

import asyncio

from tests.enforcement.cell import Cell

from ringfence.enforcement.shell import NOTICED, Shell


def test_the_operators_process_is_so_until_it_runs_something_of_its_own() -> None:
    shell = Shell()
    assert shell.is_operators(5, "/sbin/bwrap", is_command=True)
    assert shell.is_operators(5, "/usr/bin/env", is_command=False)
    assert not shell.is_operators(5, "/usr/bin/node", is_command=False)
    assert not shell.is_operators(5, "/usr/bin/env", is_command=False)


def test_another_process_is_never_the_operators() -> None:
    shell = Shell()
    shell.is_operators(5, "", is_command=True)
    assert not shell.is_operators(6, "/usr/bin/env", is_command=False)


def test_a_number_that_is_used_again_is_another_process() -> None:
    shell = Shell()
    shell.is_operators(5, "", is_command=True)
    shell.exited(5)
    assert not shell.is_operators(5, "/usr/bin/env", is_command=False)


def test_a_process_runs_one_command_at_a_time() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        shell = cell.path.shell(cell.box.id)
        assert shell is not None
        first = await cell.go(process=4)
        second = await cell.go(process=4)
        assert (shell.find(4), len(shell)) == (second, 1)
        assert not first.is_open
        assert shell.exited(4) is second
        assert shell.all() == []

    asyncio.run(story())


def test_words_are_kept_whole_while_there_is_room_and_the_first_cut_is_told_once() -> None:
    words = Shell((), 100).words
    assert [words.take(size) for size in (60, 50, 40, 1)] == [True, False, True, False]
    assert [words.cut(), words.cut()] == [True, False]


def test_a_circle_is_told_at_once_and_then_ever_more_rarely() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        ticket, shell = await cell.go(), Shell()
        told = [times for _ in range(11 * NOTICED) if (times := shell.circle(ticket, 1))]
        assert told == [NOTICED, 10 * NOTICED]
        assert not shell.circle(ticket, 2)  # another end is another matter
        assert not shell.circle(ticket, 1)

    asyncio.run(story())
