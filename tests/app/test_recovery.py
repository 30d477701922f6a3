import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.app.installation import TOKEN, Installation, plane, provider
from tests.stores.ledger.event import intent, outcome

from ringfence.app.recovery import with_marks
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.tool import ToolServer
from ringfence.domain.tool_rule import ToolRules
from ringfence.protocols import canonical
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.recovery import recover
from ringfence.stores.ledger.sqlite_logs import SqliteLogs
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


class LogsIn:
    """A `Storage` as far as looking up goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def logs(self) -> SqliteLogs:
        return SqliteLogs(self.folder)


@pytest.mark.parametrize("is_labelling", [True, False])
def test_what_runs_have_read_is_looked_up_where_anything_is_labelled(
    is_labelling: bool,  # noqa: FBT001 (a parameter of the test)
    tmp_path: Path,
) -> None:
    asked = intent("act_1")
    asked.action_kind, asked.resource = "tool.call", "crm__get"
    ended = outcome(asked)
    ended.labels = ["untrusted"]
    logs = SqliteLogs(tmp_path)
    held = logs.take("log_1")
    try:
        recover(held, logs, 0)
        with held.writing() as log:
            data = b"\n".join(canonical.encode(each) for each in (asked, ended))
            log.commit(Batch(1, 2, data, 0, 0))
        recovered = recover(held, logs, 1)
    finally:
        held.release()
    labels = (("*", frozenset({"untrusted"})),) if is_labelling else ()
    server = ToolServer(name="crm", rules=ToolRules(labels=labels))
    acme = Organisation(name="acme", id="org_a", tools={"crm": server})
    configuration = Configuration(organisations={"acme": acme}, digest="sha256:1")
    found = with_marks(recovered, configuration, LogsIn(tmp_path))  # type: ignore[arg-type] # a part
    [record] = found.invocations
    assert record.seen == (("untrusted",) if is_labelling else ())
