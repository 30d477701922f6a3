import asyncio
from pathlib import Path

import pytest
from tests.app.installation import Installation, plane, provider

from ringfence.app.embedded import Embedded


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_a_plane_with_one_worker_holds_it_in_its_own_process(installed: Installation) -> None:
    async def story() -> None:
        async with provider() as there:
            installed.configure(there.url)
            installed.give_token()
            async with plane(installed) as running:
                assert isinstance(running.workers, Embedded)
                assert running.workers.readiness() == ""
                assert (await installed.ask()).status == 200
                [status] = await running.workers.status()
                assert status.open_invocations == 1
                assert (await running.workers.metrics()).calls[0][1].calls == 1

    asyncio.run(story())
