import asyncio
from collections.abc import Callable

import pytest

from ringfence.transport.http import Work
from ringfence.transport.work import until_over


class Task:
    """Work that ends when a test says so, or `ends_late` turns after it was cancelled."""

    def __init__(self) -> None:
        self.is_over = False
        self.cancels = 0
        self._tell: Callable[[Work], None] | None = None

    def cancel(self) -> None:
        self.cancels += 1
        asyncio.get_running_loop().call_soon(self.end)

    def when_over(self, tell: Callable[[Work], None]) -> None:
        self._tell = tell

    def end(self) -> None:
        self.is_over = True
        if self._tell is not None:
            self._tell(self)


def test_a_coroutine_waits_for_the_end() -> None:
    async def story() -> None:
        work = Task()
        waiting = asyncio.create_task(until_over(work))
        await asyncio.sleep(0)
        assert not waiting.done()
        work.end()
        await waiting
        await until_over(work)

    asyncio.run(story())


def test_who_cancels_the_wait_cancels_the_work_and_sees_it_end() -> None:
    async def story() -> None:
        work = Task()
        waiting = asyncio.create_task(until_over(work))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (work.cancels, work.is_over) == (1, True)

    asyncio.run(story())
