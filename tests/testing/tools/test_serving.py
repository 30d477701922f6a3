import asyncio
import os
import sys
from pathlib import Path

import ringfence
from ringfence.testing.tools.serving import serving


def test_it_listens_while_the_context_lasts() -> None:
    async def run() -> None:
        async with serving() as running:
            port = int(running.url.rpartition(":")[2].partition("/")[0])
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
        try:
            await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        raise AssertionError(port)

    asyncio.run(run())


def test_as_a_process_it_says_where_it_is() -> None:
    async def run() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ringfence.testing.tools",
            "--port=0",
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(ringfence.__file__).parents[1])},
        )
        assert process.stdout is not None
        said = (await process.stdout.readline()).decode()
        assert said.startswith("scripted tools listening on http://127.0.0.1:")
        process.terminate()
        assert await process.wait() == 0

    asyncio.run(run())
