import asyncio
import logging

import pytest

from ringfence.gateways.tool.background import background, settled


def test_what_fails_where_nobody_waits_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError("a fault")

    async def run() -> None:
        task = background(fails())
        await asyncio.wait({task})
        await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert "failed" in caplog.text


def test_what_was_begun_can_be_waited_for() -> None:
    done: list[int] = []

    async def works() -> None:
        await asyncio.sleep(0.01)
        done.append(1)

    async def run() -> None:
        background(works())
        await settled()
        assert done == [1]
        await settled()

    asyncio.run(run())
