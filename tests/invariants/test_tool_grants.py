"""A person grants a tool server at the command line; agents use it, and never see the token."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from tests.app.installation import ENVIRONMENT, Installation, process
from tests.authorization import Guarded, browse, guarded
from tests.invariants.tooled import call_tool, configure, ringfence

from ringfence.domain.event import Change


async def _authorize(installed: Installation, there: Guarded) -> None:
    """A person at the command line, with a browser beside it."""
    process_ = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ringfence", "tools", "authorize", "crm"),
        *("--config", str(installed.settings.config), "--data", str(installed.data)),
        env=os.environ | ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process_.stdout is not None
    assert process_.stderr is not None
    url = (await asyncio.wait_for(process_.stdout.readline(), 60)).decode().strip()
    assert url.startswith(f"{there.url}/authorize?"), await process_.stderr.read()
    await browse(there.say_yes(url))
    told = await process_.stderr.read()
    assert await asyncio.wait_for(process_.wait(), 60) == 0, told
    assert b"is authorised" in told


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_is_called_with_what_a_person_has_granted(tmp_path: Path, workers: int) -> None:
    async def story() -> None:
        async with guarded() as there:
            installed = Installation(tmp_path, workers=workers)
            configure(installed, f"{there.url}/mcp", server=", oauth: {by: person}")
            installed.give_token()
            async with process(installed):
                without = await call_tool(installed, "echo", {"text": "hello"})
                assert "needs a person's grant" in without.text, without.message
                await _authorize(installed, there)
                for text in ("a", "b", "c", "d"):
                    assert (await call_tool(installed, "echo", {"text": text})).text == text
                # The server takes this token no more: another one is got, and nobody notices.
                there.valid.clear()
                assert (await call_tool(installed, "echo", {"text": "again"})).text == "again"
                assert there.asked[-1]["grant_type"] == "refresh_token"
                await ringfence(installed, "tools", "authorize", "crm", "--forget")
                gone = await call_tool(installed, "echo", {"text": "gone"})
                assert "needs a person's grant" in gone.text, gone.message
            changes = [each for each in installed.events() if isinstance(each, Change)]
            whats = [each.what for each in changes if each.what.startswith("tool.")]
            assert [each for each in whats if "authorized" in each] == [
                "tool.authorized",
                "tool.unauthorized",
            ]
            exported = json.dumps([each.detail for each in changes])
            assert "access-" not in exported
            assert "refresh-" not in exported

    asyncio.run(story())
