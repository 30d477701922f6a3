"""Whether what stands beside a log of its runs is what the events say.

A plane that starts takes up runs from there: with their rights, their tokens, what they have used
of their limits, and which of their calls have no outcome. No signature covers these tables.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple, final

import msgspec

from ringfence.analysis.verification import Fault, Finding
from ringfence.domain.budget import AccountKey, Unit
from ringfence.domain.error import RingfenceError
from ringfence.domain.invocation import InvocationState
from ringfence.stores.ledger import call_count
from ringfence.stores.ledger.activity import Activity, Key
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.invocation import InvocationRecord, Opening
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.ledger.rows import LogRows

_RUNS_AT_ONCE: Final = 50_000
"""The events are read once for so many runs: some 100 MB."""
_MOST: Final = 100
"""So many are named; of more, how many there are."""
_LAST: Final = ("\U0010ffff", "")
_NEVER: Final = 2**62


class _Head(msgspec.Struct):
    """Which run an event is about."""

    organisation: str
    invocation: str = ""
    root: str = ""
    subject: str = ""
    what: str = ""


class _Call(msgspec.Struct):
    """An intent, or its outcome."""

    kind: str
    organisation: str
    action: str = ""


_head: Final = msgspec.json.Decoder(_Head).decode
_call: Final = msgspec.json.Decoder(_Call).decode
_INTENT: Final = b'"kind":"intent"'
_OUTCOME: Final = b'"kind":"outcome"'
"""As canonical JSON spells it; a mark that stands elsewhere too costs a look and no more."""


class _Wrong(NamedTuple):
    id: str
    text: str


def examine_runs(rows: LogRows, *, is_partial: bool) -> Iterator[Finding]:
    """Compare the runs beside one log with its events, at one moment.

    Where events were deleted on purpose (`is_partial`) a run may have done more than is left to
    say, and nothing may be left of it.
    """
    with rows.snapshot(), suppress(RingfenceError, msgspec.MsgspecError, ValueError):
        wrong = [
            *_wrong_runs(rows, is_partial=is_partial),
            *_wrong_calls(rows, is_partial=is_partial),
            *_wrong_use(rows, is_partial=is_partial),
        ]
        for each in wrong[:_MOST]:
            yield Finding(fault=Fault.RUN_ALTERED, log=rows.log_id, id=each.id, text=each.text)
        if len(wrong) > _MOST:
            text = f"and {len(wrong) - _MOST} more of what stands beside this log"
            yield Finding(fault=Fault.RUN_ALTERED, log=rows.log_id, text=text)


def _numbered(rows: LogRows) -> Iterator[tuple[int, bytes]]:
    """All leaves that the tables have taken in, with their sequences."""
    until = rows.projected()
    for part in rows.following(0):
        if part.first > until:
            return
        yield from enumerate(part.leaves[: until - part.first + 1], part.first)


# Runs


def _wrong_runs(rows: LogRows, *, is_partial: bool) -> Iterator[_Wrong]:
    after: Key = ("", "")
    while True:
        stated = rows.runs(after, _RUNS_AT_ONCE)
        is_last = len(stated) < _RUNS_AT_ONCE
        until = _LAST if is_last else _key(stated[-1])
        told = _Told(after, until)
        for _, leaf in _numbered(rows):
            told.read(leaf)
        known = {_key(each): each for each in stated}
        for key in sorted({*known, *told.activity.touched}):
            yield from told.differs(key, known.get(key), is_partial=is_partial)
        if is_last:
            return
        after = until


def _key(record: InvocationRecord) -> Key:
    return (record.invocation.organisation, record.invocation.id)


@final
class _Told:
    """What the events say of the runs between two keys."""

    def __init__(self, after: Key, until: Key) -> None:
        self._after, self._until = after, until
        self.activity = Activity()
        self._openings: dict[Key, Opening] = {}
        self._ends: dict[Key, str] = {}

    def read(self, leaf: bytes) -> None:
        head = _head(leaf)
        is_own = head.what.startswith("invocation.")
        key = (head.organisation, head.subject if is_own else head.invocation)
        if key[1] and self._after < key <= self._until:
            projection = Projection()
            projection.activity = self.activity
            projection.apply(decode(leaf), 1, 1)
            self._openings.update(self.activity.described)
            self._ends.update(self.activity.ended)
            self.activity.described.clear()
            self.activity.ended.clear()

    def differs(
        self, key: Key, stated: InvocationRecord | None, *, is_partial: bool
    ) -> Iterator[_Wrong]:
        touch, opening = self.activity.touched.get(key), self._openings.get(key)
        if stated is None:
            yield _Wrong(key[1], "this run is missing beside the log")
            return
        if touch is None:
            if not is_partial:
                yield _Wrong(key[1], "no event tells of this run")
            return
        sums = {
            "steps": (stated.steps, touch.steps),
            "refusals": (stated.refusals, touch.refusals),
            "cost in nano-dollars": (int(stated.cost), touch.cost),
        }
        for name, (said, is_) in sums.items():
            if said < is_ or (said > is_ and not is_partial):
                yield _Wrong(key[1], f"its {name}: {said} beside the log, {is_} by its events")
        ended = self._ends.get(key)
        if ended is not None and stated.state is InvocationState.OPEN:
            yield _Wrong(key[1], f"it is open beside the log, and {ended} by its events")
        if opening is not None:
            yield from _differing(key[1], _rights(stated), _rights_of(opening))


def _differing(
    id_: str, stated: Mapping[str, object], told: Mapping[str, object]
) -> Iterator[_Wrong]:
    for name, said in stated.items():
        # An opening that does not say who acts leaves that to the first event that does.
        is_left = name in {"agent", "credential"} and not told[name]
        if said != told[name] and not is_left:
            yield _Wrong(id_, f"its {name} beside the log is not what it was opened with")


def _rights(record: InvocationRecord) -> Mapping[str, object]:
    run = record.invocation
    return {
        "agent": run.agent,
        "credential": run.credential,
        "parent": run.parent,
        "depth": run.depth,
        "deadline": run.deadline_us,
        "token": record.token_digest,
        "narrowing": _plain(record.narrowing),
    }


def _rights_of(opening: Opening) -> Mapping[str, object]:
    return {
        "agent": opening.agent,
        "credential": opening.credential,
        "parent": opening.parent,
        "depth": opening.depth,
        "deadline": opening.deadline_us,
        "token": opening.token_digest,
        "narrowing": _plain(opening.narrowing),
    }


def _plain(text: str) -> str:
    """A database cannot keep this sign, and keeps another one."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


# Calls without outcome, and what open trees have used


def _wrong_calls(rows: LogRows, *, is_partial: bool) -> Iterator[_Wrong]:
    """Where outcomes were deleted, an intent that is held may stand alone."""
    open_: dict[Key, int] = {}
    for sequence, leaf in _numbered(rows):
        if _INTENT not in leaf and _OUTCOME not in leaf:
            continue
        call = _call(leaf)
        key = (call.organisation, call.action)
        if call.kind == "intent":
            open_[key] = sequence
        elif call.kind == "outcome":
            open_.pop(key, None)
    told, stated = {sequence: key[1] for key, sequence in open_.items()}, set(rows.unended())
    for sequence in sorted(told.keys() - stated if not is_partial else ()):
        yield _Wrong(told[sequence], "beside the log it does not stand as a call without outcome")
    for sequence in sorted(stated - told.keys()):
        yield _Wrong("", f"event {sequence} stands beside the log as a call without outcome")


def _wrong_use(rows: LogRows, *, is_partial: bool) -> Iterator[_Wrong]:
    """Of limits that hold for a run or its tree, for those that are open: others use nothing."""
    runs = [each.invocation for each in rows.open_invocations()]
    held = {(run.organisation, holder) for run in runs for holder in (run.id, run.root)}
    if not held:
        return
    spent: dict[tuple[str, str, str, str, str], int] = {}
    for _, leaf in _numbered(rows):
        head = _head(leaf)
        if not {(head.organisation, head.invocation), (head.organisation, head.root)} & held:
            continue
        projection = Projection()
        projection.apply(decode(leaf), 1, 1)
        for place, amount in projection.spent.items():
            if (place[0], place[2]) in held:
                spent[place] = spent.get(place, 0) + amount
    told = _sums(call_count.read((*place[:4], int(place[4]), n) for place, n in spent.items()))
    # The rows also give what never runs out, as the total of an agent: sums are compared elsewhere.
    kept = rows.spent(_NEVER, held)
    stated = _sums(each for each in kept if (each[0].organisation, each[0].holder) in held)
    for key, start_us in sorted({*told, *stated}):
        said, is_ = stated.get((key, start_us), 0), told.get((key, start_us), 0)
        if said < is_ or (said > is_ and not is_partial):
            what = f"{key.unit} of its {key.scope}{f' ({key.part})' if key.part else ''}"
            yield _Wrong(key.holder, f"{what}: {said} beside the log, {is_} by its events")


def _sums(accounts: Iterable[tuple[AccountKey, int, int]]) -> Mapping[tuple[AccountKey, int], int]:
    """Steps are no account of their own: they are compared with their run."""
    return {
        (key, start_us): amount
        for key, start_us, amount in accounts
        if key.unit is not Unit.MODEL_CALLS and amount
    }
