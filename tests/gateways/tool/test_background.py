import asyncio
import logging

import pytest

from ringfence.gateways.tool.background import background


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
