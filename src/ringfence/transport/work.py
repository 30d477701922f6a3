"""Work that goes on by callbacks, waited for by a coroutine."""

import asyncio

from ringfence.transport.http import Work


async def until_over(work: Work) -> None:
    """Wait until it has ended. Who cancels the wait cancels the work, and waits all the same."""
    if work.is_over:
        return
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    work.when_over(lambda _: over.set_result(None))
    try:
        await asyncio.shield(over)
    except asyncio.CancelledError:
        work.cancel()
        if not work.is_over:
            await over
        raise
