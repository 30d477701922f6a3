import asyncio

from tests.app.test_shared import Worker

from ringfence.app.spreading import Spreading
from ringfence.domain.invocation import InvocationState
from ringfence.domain.registry import Ended

OVER = Ended(invocation="inv_1", state=InvocationState.FINISHED, cause=None)


def test_what_is_spread_is_said_at_once_and_settled_when_the_worker_knows() -> None:
    async def story() -> None:
        workers = [Worker(1), Worker(2)]
        spreading = Spreading(lambda: workers)
        await spreading.settled()
        workers[1].may_obey.clear()
        spreading.tell(2, OVER)
        spreading.tell(3, OVER)
        settling = asyncio.create_task(spreading.settled())
        for _ in range(5):
            await asyncio.sleep(0)
        assert (workers[0].heard, workers[1].heard) == ([], [OVER])
        assert not settling.done()
        workers[1].may_obey.set()
        await settling
        await spreading.settled()

    asyncio.run(story())
