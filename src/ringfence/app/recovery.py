"""What only the record and the configuration together tell when a plane starts."""

from contextlib import closing
from dataclasses import replace

from ringfence.app.storage import Storage
from ringfence.decisions.limit import tokens_key
from ringfence.domain.money import Money
from ringfence.domain.organisation import Configuration
from ringfence.stores.ledger import LedgerReader, Recovered
from ringfence.stores.ledger.used import tokens_used


def with_tokens(recovered: Recovered, configuration: Configuration, storage: Storage) -> Recovered:
    """The same with what open runs have used of a limit on tokens; blocks.

    Only the events tell that, so only those of runs that have such a limit are read.
    """
    limited = {
        (organisation.id, agent.id)
        for organisation in configuration.organisations.values()
        for agent in organisation.agents.values()
        if agent.limits.tokens is not None
    }
    runs = [each.invocation for each in recovered.invocations]
    roots = [
        (run.organisation, run.id)
        for run in runs
        if run.parent is None and (run.organisation, run.agent) in limited
    ]
    if not roots:
        return recovered
    with closing(LedgerReader(storage.logs())) as reader:
        used = [(tokens_key(*root), 0, Money(tokens_used(reader, *root))) for root in roots]
    return replace(recovered, spent=[*recovered.spent, *used])
