"""Make logs whole after a crash, and tell the plane what it must know to go on."""

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from ringfence.decisions.input_bound import Evidence
from ringfence.domain.budget import AccountKey
from ringfence.domain.error import UsageError
from ringfence.domain.event import Intent, Outcome, Status
from ringfence.domain.money import Money
from ringfence.protocols import canonical
from ringfence.stores.ledger import invocation
from ringfence.stores.ledger.activity import Key
from ringfence.stores.ledger.backend import Backend, Batch
from ringfence.stores.ledger.experience import ProviderObject, read_evidence, read_objects
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.invocation import InvocationRecord
from ringfence.stores.ledger.journal import Journal, merge
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.rows import HeldLog, LogRows, Logs
from ringfence.stores.ledger.segment import GROUP

LONGEST_WINDOW_US: Final = 32 * 24 * 3600 * 1_000_000
"""A month and a day: no window that began before is still open."""

_CLOSED_READ: Final = 10_000
_ENDED: Final = "process_ended"


def _no_journal(log_id: str) -> None:
    """Nothing was kept beside this log."""
    del log_id


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


def recover(
    own: HeldLog,
    logs: Logs,
    now_us: int,
    journals: Callable[[str], Journal | None] = _no_journal,
    running: Container[str] = frozenset(),
) -> Recovered:
    """Write the missing outcomes of every log that no living process writes, then read what is so.

    The held log must exist already or is made. Call before it is opened for writing. `journals`
    gives what this machine has kept of a log while that was away; it is merged first. The logs in
    `running` are other planes' that live: they are read, and never taken.
    Raises UsageError `store_damaged`, `schema_newer`, UnavailableError `store_unavailable`.
    """
    recovered = Recovered()
    logs.require()
    with own.writing():
        pass  # it exists from now on
    invocations: dict[Key, InvocationRecord] = {}
    of_logs: dict[str, list[Key]] = {}
    for log_id in logs.ids():
        if log_id not in running:
            _make_whole(own, logs, log_id, now_us, recovered, journals(log_id))
        with closing(logs.read(log_id)) as rows:
            of_logs[log_id] = _read_open(rows, invocations)
            # What was ended on purpose: its name must not open a fresh run with a fresh budget.
            recovered.closed.extend(
                rows.closed_invocations(now_us - LONGEST_WINDOW_US, _CLOSED_READ)
            )
            read_evidence(rows, recovered.evidence)
            recovered.objects.extend(read_objects(rows))
    ended = _leave_out_ended(logs, invocations)
    for log_id, opened in of_logs.items():
        if log_id not in recovered.held and log_id not in running:
            _close(own, logs, log_id, {key: ended[key] for key in opened if key in ended})
    recovered.spent.extend(_spent(logs, now_us, invocations))
    recovered.invocations.extend(invocations.values())
    recovered.closed.sort(key=lambda each: each.last_us)
    recovered.objects.sort(key=lambda each: each.time_us)
    return recovered


def _make_whole(  # noqa: PLR0913, PLR0917 (what a log is made whole with)
    own: HeldLog,
    logs: Logs,
    log_id: str,
    now_us: int,
    recovered: Recovered,
    journal: Journal | None,
) -> None:
    """Complete a log, unless somebody else writes it."""
    if log_id == own.log_id:
        recovered.unknown.extend(complete(own, logs, now_us, journal))
        return
    try:
        other = logs.take(log_id)
    except UsageError as error:
        if error.code != "log_in_use":
            raise
        recovered.held.append(log_id)
        return
    try:
        recovered.unknown.extend(complete(other, logs, now_us, journal))
    finally:
        other.release()


def complete(held: HeldLog, logs: Logs, now_us: int, journal: Journal | None = None) -> list[str]:
    """Give every intent of a held log its outcome, and bring what is derived up to date.

    What only its journal has is written before.

    INVARIANT: an outcome and the end of its intent are seen together, so that a crash in here
    leaves exactly the rest to be done.
    """
    if journal is not None:
        with closing(journal):
            merge(journal, held, logs)
    with held.writing() as log:  # opening it brings what is derived up to date
        rows = logs.read(held.log_id)
        try:
            missing = list(_missing(rows, held.log_id, now_us))
        finally:
            rows.close()
        for at in range(0, len(missing), GROUP):
            _append(log, missing[at : at + GROUP], now_us)
    return [outcome.action for outcome in missing]


def _append(log: Backend, outcomes: list[Outcome], now_us: int) -> None:
    first = log.next_sequence
    projection = Projection()
    for sequence, outcome in enumerate(outcomes, first):
        outcome.sequence = sequence
        projection.apply(outcome, sequence, first)
    data = b"\n".join(canonical.encode(outcome) for outcome in outcomes)
    log.commit(Batch(first, len(outcomes), data, now_us, now_us))
    log.derive(projection)


def _missing(rows: LogRows, log_id: str, now_us: int) -> Iterator[Outcome]:
    for sequence in rows.unended():
        part = rows.containing(sequence)
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


def _leave_out_ended(logs: Logs, invocations: dict[Key, InvocationRecord]) -> dict[Key, str]:
    """What one log believes open may have ended in another: that of the registry, or of a plane.

    Gives how these have ended.
    """
    ended: dict[Key, str] = {}
    for log_id in logs.ids():
        with closing(logs.read(log_id)) as rows:
            ended |= rows.ended(invocations)
    for key in ended:
        del invocations[key]
    return ended


def _close(own: HeldLog, logs: Logs, log_id: str, ended: Mapping[Key, str]) -> None:
    """Let a log know of ends that others recorded: the next start reads what is open, no more."""
    if not ended:
        return
    try:
        held = own if log_id == own.log_id else logs.take(log_id)
    except UsageError as error:
        if error.code == "log_in_use":
            return  # somebody has begun to write it; the next start finds the same
        raise
    try:
        with held.writing() as log:
            log.derive(Projection.of_ends(ended))
    finally:
        if held is not own:
            held.release()


def _spent(
    logs: Logs, now_us: int, invocations: Mapping[Key, InvocationRecord]
) -> Iterator[tuple[AccountKey, int, Money]]:
    """What was charged in windows that may be open, and in runs that are, over all logs.

    A tree's account may be in a log in which only its sub-agents acted.
    """
    spent: dict[tuple[AccountKey, int], int] = {}
    for log_id in logs.ids():
        with closing(logs.read(log_id)) as rows:
            for key, start_us, nano in rows.spent(now_us - LONGEST_WINDOW_US, invocations):
                spent[key, start_us] = spent.get((key, start_us), 0) + nano
    return ((key, start_us, Money(nano)) for (key, start_us), nano in spent.items())


def _read_open(rows: LogRows, invocations: dict[Key, InvocationRecord]) -> list[Key]:
    """Add what this log believes open; gives their keys."""
    keys = []
    for record in rows.open_invocations():
        key = (record.invocation.organisation, record.invocation.id)
        known = invocations.get(key)
        invocations[key] = record if known is None else invocation.merge(known, record)
        keys.append(key)
    return keys
