"""What only the record and the configuration together tell when a plane starts."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

from ringfence.app.storage import Storage
from ringfence.app.stores import charged_by
from ringfence.decisions.limit import model_calls_key, tokens_key
from ringfence.domain.budget import Unit
from ringfence.domain.money import Money
from ringfence.domain.organisation import Configuration
from ringfence.stores.ledger import InvocationRecord, LedgerReader, Recovered
from ringfence.stores.ledger.charged import Totals
from ringfence.stores.ledger.marks import Marks, marks
from ringfence.stores.ledger.used import tokens_used

_BEFORE = "before"
"""Stands for all logs together where they were not told apart."""


def remembered(recovered: Recovered, configuration: Configuration, storage: Storage) -> Recovered:
    """The same with everything of open runs that only their events tell; blocks."""
    return with_marks(with_tokens(recovered, configuration, storage), configuration, storage)


def with_marks(recovered: Recovered, configuration: Configuration, storage: Storage) -> Recovered:
    """The same with what open runs have read and what is in doubt in them; blocks.

    Read only of runs that have called tools, in organisations that label or check what tools do.
    """
    marking = {
        organisation.id
        for organisation in configuration.organisations.values()
        if any(
            each.rules.labels or each.rules.postconditions for each in organisation.tools.values()
        )
    }
    calling = {
        (key.organisation, key.holder)
        for key, _, _ in recovered.spent
        if key.unit is Unit.TOOL_CALLS and key.organisation in marking
    }
    roots = {
        (each.invocation.organisation, each.invocation.id)
        for each in recovered.invocations
        if each.invocation.parent is None
    }
    if not calling & roots:
        return recovered
    with closing(LedgerReader(storage.logs())) as reader:
        found = {root: marks(reader, *root) for root in calling & roots}
    return replace(recovered, invocations=[_marked(each, found) for each in recovered.invocations])


def _marked(record: InvocationRecord, found: Mapping[tuple[str, str], Marks]) -> InvocationRecord:
    known = found.get((record.invocation.organisation, record.invocation.id))
    return record if known is None else replace(record, seen=known.seen, doubts=known.doubts)


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
