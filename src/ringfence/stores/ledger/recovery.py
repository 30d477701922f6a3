"""Make a data folder whole after a crash, and tell the plane what it must know to go on."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ringfence.decisions.input_bound import Evidence
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.error import UsageError
from ringfence.domain.event import Intent, Outcome, Status
from ringfence.domain.money import Money
from ringfence.protocols import canonical
from ringfence.stores.database import open_readable, transaction, translated
from ringfence.stores.ledger import derived, segment
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.experience import ProviderObject, read_evidence, read_objects
from ringfence.stores.ledger.fence import Fence, log_ids, log_path, require_logs
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.invocation import InvocationRecord, merge, select
from ringfence.stores.ledger.log import open_log
from ringfence.stores.ledger.schema import LEDGER
from ringfence.stores.ledger.segment import GROUP, SegmentWriter

_LONGEST_WINDOW_US: Final = 32 * 24 * 3600 * 1_000_000
"""A month and a day: no window that began before is still open."""

_CLOSED_READ: Final = 10_000
_ENDED: Final = "process_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What the ledger knows when a plane starts.

    `spent` holds each account of a window that may still be open: key, start of the window in UTC
    microseconds, amount. `invocations` are the open ones; `closed` those of the last month that
    were finished or stopped and had a name from outside, the latest last. `evidence` is, per
    (organisation, model alias), what recent calls have shown of their input; `objects` are what
    providers keep of recent answers, the latest last. `unknown` names the actions whose outcome was
    missing and is now written. `held` names logs that other living processes write: their newest
    events may be missing here.
    """

    spent: list[tuple[AccountKey, int, Money]] = field(default_factory=list)
    invocations: list[InvocationRecord] = field(default_factory=list)
    closed: list[InvocationRecord] = field(default_factory=list)
    evidence: dict[tuple[str, str], Evidence] = field(default_factory=dict)
    objects: list[ProviderObject] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)


def recover(fence: Fence, now_us: int) -> Recovered:
    """Write the missing outcomes of every log that no living process writes, then read what is so.

    The fenced log must exist already or is made. Call before the writer opens, under its fence.
    Raises UsageError `store_damaged`, `schema_newer`, UnavailableError `store_unavailable`.
    """
    recovered = Recovered()
    require_logs(fence.folder)
    open_log(fence).close()
    spent: dict[tuple[AccountKey, int], int] = {}
    invocations: dict[tuple[str, str], InvocationRecord] = {}
    for log_id in log_ids(fence.folder):
        connection = _take_over(fence, log_id, now_us, recovered)
        try:
            with translated(log_path(fence.folder, log_id), LEDGER.noun):
                _read_spent(connection, now_us, spent)
                _read_open(connection, invocations)
                recovered.closed.extend(_read_closed(connection, now_us))
                read_evidence(connection, recovered.evidence)
                recovered.objects.extend(read_objects(connection))
        finally:
            connection.close()
    recovered.spent.extend((key, start_us, Money(nano)) for (key, start_us), nano in spent.items())
    recovered.invocations.extend(invocations.values())
    recovered.closed.sort(key=lambda each: each.last_us)
    recovered.objects.sort(key=lambda each: each.time_us)
    return recovered


def _take_over(fence: Fence, log_id: str, now_us: int, recovered: Recovered) -> sqlite3.Connection:
    """A connection to a log, after making it whole if nobody else writes it."""
    path = log_path(fence.folder, log_id)
    if log_id == fence.log_id:
        recovered.unknown.extend(complete(fence, now_us))
        return open_readable(path, LEDGER)
    try:
        other = Fence.take(fence.folder, log_id)
    except UsageError as error:
        if error.code != "log_in_use":
            raise
        recovered.held.append(log_id)
        return open_readable(path, LEDGER)
    try:
        recovered.unknown.extend(complete(other, now_us))
        return open_readable(path, LEDGER)
    finally:
        other.release()


def complete(fence: Fence, now_us: int) -> list[str]:
    """Give every intent of a fenced log its outcome, and bring what is derived up to date.

    INVARIANT: all in one transaction, so that a crash in here leaves all to be done again.
    """
    connection = open_log(fence)
    try:
        with translated(fence.path, LEDGER.noun), transaction(connection):
            derived.write(connection, derived.catch_up(connection))
            missing = list(_missing(connection, fence.log_id, now_us))
            writer = SegmentWriter(connection)
            for at in range(0, len(missing), GROUP):
                _append(writer, missing[at : at + GROUP], now_us)
            derived.write(connection, derived.catch_up(connection))
    finally:
        connection.close()
    return [outcome.action for outcome in missing]


def _append(writer: SegmentWriter, outcomes: list[Outcome], now_us: int) -> None:
    for sequence, outcome in enumerate(outcomes, writer.next_sequence):
        outcome.sequence = sequence
    data = b"\n".join(canonical.encode(outcome) for outcome in outcomes)
    writer.append(Batch(writer.next_sequence, len(outcomes), data, now_us, now_us))


def _missing(connection: sqlite3.Connection, log_id: str, now_us: int) -> Iterator[Outcome]:
    rows = connection.execute("SELECT sequence FROM pending ORDER BY sequence").fetchall()
    for (sequence,) in rows:
        part = segment.containing(connection, sequence)
        intent = decode(part.leaves[sequence - part.first]) if part else None
        if isinstance(intent, Intent):
            yield _unknown(intent, log_id, now_us)


def _unknown(intent: Intent, log_id: str, now_us: int) -> Outcome:
    """The outcome of an action whose process ended first: charged at its reservation (I3)."""
    return Outcome(
        format=intent.format,
        organisation=intent.organisation,
        time_us=str(now_us),
        epoch=intent.epoch,
        configuration=intent.configuration,
        policy=intent.policy,
        log=log_id,
        agent=intent.agent,
        agent_name=intent.agent_name,
        agent_version=intent.agent_version,
        credential=intent.credential,
        chain=intent.chain,
        tier=intent.tier,
        action=intent.action,
        invocation=intent.invocation,
        root=intent.root,
        status=Status.UNKNOWN,
        error=_ENDED,
        cost_nano=intent.reserved_nano,
        reserved_nano=intent.reserved_nano,
        accounts=intent.accounts,
    )


def _read_spent(
    connection: sqlite3.Connection, now_us: int, spent: dict[tuple[AccountKey, int], int]
) -> None:
    """Add up accounts, leaving out past windows and those of closed invocations."""
    rows = connection.execute(
        """SELECT organisation, scope, holder, per, window_us, spent_nano FROM accounts
        WHERE CASE
            WHEN per IN ('invocation', 'tree') THEN EXISTS (
                SELECT 1 FROM invocations AS held
                WHERE held.organisation = accounts.organisation AND held.id = accounts.holder
                    AND held.state = 'open')
            WHEN per = 'total' THEN 1
            ELSE window_us > ?
        END""",
        (now_us - _LONGEST_WINDOW_US,),
    )
    for organisation, scope, holder, per, window_us, nano in rows:
        key = (AccountKey(organisation, BudgetScope(scope), holder, Per(per)), window_us)
        spent[key] = spent.get(key, 0) + nano


def _read_open(
    connection: sqlite3.Connection, invocations: dict[tuple[str, str], InvocationRecord]
) -> None:
    for record in select(connection, "state = 'open'"):
        key = (record.invocation.organisation, record.invocation.id)
        known = invocations.get(key)
        invocations[key] = record if known is None else merge(known, record)


def _read_closed(connection: sqlite3.Connection, now_us: int) -> list[InvocationRecord]:
    """What was ended on purpose: its name must not open a fresh run with a fresh budget."""
    where = """state IN ('finished', 'stopped') AND external_id IS NOT NULL AND last_us > :since_us
        ORDER BY last_us DESC LIMIT :most"""
    since_us = now_us - _LONGEST_WINDOW_US
    return select(connection, where, {"since_us": since_us, "most": _CLOSED_READ})
