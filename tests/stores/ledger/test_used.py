import asyncio
from contextlib import closing
from pathlib import Path

from tests.stores.ledger.event import intent, outcome

from ringfence.domain.usage import Usage
from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.ledger.used import tokens_used
from ringfence.stores.ledger.writer import LedgerWriter


def test_a_tree_has_used_what_its_calls_state_or_were_allowed(tmp_path: Path) -> None:
    async def story() -> None:
        told, untold, unmade, open_ = (
            intent(f"act_{number}", invocation=f"inv_{number}", root="inv_1", parent="inv_1")
            for number in range(2, 6)
        )
        elsewhere = intent("act_9", invocation="inv_9")
        for each in (untold, unmade, open_, elsewhere):
            each.input_bound, each.output_limit = 100, 50
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        for each in (told, untold, unmade, open_, elsewhere):
            await writer.intend(each)
        await writer.append(outcome(told, usage=Usage(input_tokens=7, output_tokens=3)))
        await writer.append(outcome(untold))
        await writer.append(outcome(unmade, cost=0))
        await writer.close()

    asyncio.run(story())
    with closing(LedgerReader(tmp_path)) as reader:
        assert tokens_used(reader, "org_a", "inv_1") == 10 + 150 + 150
        assert tokens_used(reader, "org_a", "inv_9") == 150
        assert tokens_used(reader, "org_b", "inv_1") == 0
