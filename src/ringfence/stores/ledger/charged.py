"""What one log has charged: what a worker that died owes, beyond what it could still report."""

from collections.abc import Mapping

from ringfence.decisions.limit import model_calls_key
from ringfence.domain.budget import AccountKey
from ringfence.domain.lease import Charged
from ringfence.stores.ledger.rows import LogRows

Totals = Mapping[tuple[AccountKey, int], int]
"""By account and start of its window: money, and the model calls of trees."""


def totals(rows: LogRows, since_us: int) -> Totals:
    """What a whole log has charged in windows that began after a time, and in runs still open."""
    records = rows.open_invocations()
    runs = [record.invocation for record in records]
    # The root of a tree may never have acted in this log, where its sub-agents did.
    held = {(run.organisation, holder) for run in runs for holder in (run.id, run.root)}
    found = {(key, start_us): amount for key, start_us, amount in rows.spent(since_us, held)}
    for run, record in zip(runs, records, strict=True):
        place = (model_calls_key(run.organisation, run.root), 0)
        found[place] = found.get(place, 0) + record.steps
    return found


def charged_since(before: Totals, after: Totals) -> tuple[Charged, ...]:
    """What was charged between two readings of one log; made whole before the second."""
    return tuple(
        Charged(key, start_us, amount - before.get((key, start_us), 0))
        for (key, start_us), amount in after.items()
        if amount > before.get((key, start_us), 0)
    )
