import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.app.installation import TOKEN, Installation, plane, provider

from ringfence.testing.model.script import parse

SCRIPT = "format: 1\nrules: [{answer: {text: a, usage: {input_tokens: 5, output_tokens: 50}}}]\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_limit_on_tokens_holds_over_a_restart(workers: int, tmp_path: Path) -> None:
    async def declared(installed: Installation, token: str) -> str:
        bearer = {"authorization": f"Bearer {token}"}
        answer = await installed.send("POST", "/ringfence/v1/invocations", b"{}", bearer)
        return str(msgspec.json.decode(answer.body)["token"])

    async def passed(installed: Installation, token: str) -> int:
        """How many calls are let through, one after another, of the tokens that are left."""
        for count in range(40):
            bearer = {"authorization": f"Bearer {token}"}
            answer = await installed.ask(f"task {count}", headers=bearer)
            if answer.status != 200:
                assert answer.code == "limit_reached"
                return count
        raise AssertionError("nothing stops it")

    async def story() -> None:
        installed = Installation(tmp_path, workers=workers)
        async with provider(parse(SCRIPT)) as there:
            installed.configure(there.url)
            path = tmp_path / "ringfence.yaml"
            limits = "    limits: {depth: 1, sub_agents: 1, tokens: 1500}\n"
            path.write_text(path.read_text() + limits)
            installed.give_token()
            async with plane(installed):
                child = await declared(installed, await declared(installed, TOKEN))
                assert await passed(installed, child) > 3
            before = there.journal.total
            async with plane(installed):
                assert await passed(installed, child) <= 1  # the bound may have been learned anew
            assert there.journal.total <= before + 1
            assert there.journal.total * 55 <= 1500

    asyncio.run(story())
