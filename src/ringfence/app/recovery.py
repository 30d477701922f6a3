"""What only the record and the configuration together tell when a plane starts."""

from contextlib import closing
from dataclasses import replace

from ringfence.app.storage import Storage
from ringfence.app.stores import charged_by
from ringfence.decisions.limit import model_calls_key, tokens_key
from ringfence.domain.budget import Unit
from ringfence.domain.money import Money
from ringfence.domain.organisation import Configuration
from ringfence.stores.ledger import LedgerReader, Recovered
from ringfence.stores.ledger.charged import Totals
from ringfence.stores.ledger.used import tokens_used

_BEFORE = "before"
"""Stands for all logs together where they were not told apart."""


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


def first_limits(storage: Storage, recovered: Recovered, now_us: int) -> dict[str, Totals]:
    """What each log has charged of limits that may still be open, and tokens used; blocks.

    For a database in which limits were never shared: nobody else may be writing.
    """
    known = {(key, start_us) for key, start_us, _ in recovered.spent}
    known |= {
        (model_calls_key(each.invocation.organisation, each.invocation.root), 0)
        for each in recovered.invocations
    }
    logs = storage.logs()
    try:
        names = logs.ids()
    finally:
        logs.close()
    charged = {
        log: {
            place: amount
            for place, amount in charged_by(storage, log, now_us).items()
            if place in known
        }
        for log in names
    }
    tokens = {
        (key, start_us): int(used)
        for key, start_us, used in recovered.spent
        if key.unit is Unit.TOKENS
    }
    if tokens:
        charged[_BEFORE] = tokens
    return {log: each for log, each in charged.items() if each}
