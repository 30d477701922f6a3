"""Whether what accounts are said to have spent is what the events say.

The sums stand beside the events and no signature covers them, but a plane that starts takes its
budgets from them: whoever lowered one would have the money again.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from ringfence.analysis.verification import Fault, Finding
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit
from ringfence.domain.error import RingfenceError
from ringfence.domain.event import AccountLine
from ringfence.stores.ledger.rows import LogRows

_OUTCOME: Final = b'"kind":"outcome"'
"""As canonical JSON spells it; a mark that stands elsewhere too costs a look and no more."""
_LIVING: Final = frozenset({BudgetScope.INVOCATION.value, BudgetScope.TREE.value})
_MOST: Final = 100
"""So many accounts are named; of more, how many there are."""


class _Outcome(msgspec.Struct):
    """What of an outcome says what it charged; the rest of the leaf is not read."""

    kind: str
    organisation: str
    cost_nano: str = "0"
    accounts: list[AccountLine] = []


_read: Final = msgspec.json.Decoder(_Outcome).decode
_Sums = Mapping[tuple[AccountKey, int], int]


def examine_accounts(rows: LogRows, *, is_partial: bool) -> Iterator[Finding]:
    """Compare the lasting accounts of one log with its events, at one moment.

    Where events were deleted on purpose (`is_partial`) a sum may be higher than what is left says.
    """
    with rows.snapshot():
        stated = {
            (key, start_us): spent
            for key, start_us, spent in rows.spent(-1, ())
            if key.unit is Unit.MONEY and key.scope.value not in _LIVING
        }
        charged = _charged(rows)
    if charged is None:
        return  # what cannot be read was found before
    wrong = [
        place
        for place in sorted({*stated, *charged})
        if stated.get(place, 0) < charged.get(place, 0)
        or (not is_partial and stated.get(place, 0) > charged.get(place, 0))
    ]
    for key, start_us in wrong[:_MOST]:
        said, is_ = stated.get((key, start_us), 0), charged.get((key, start_us), 0)
        whose = f"{key.scope} per {key.per} from {start_us}"
        text = f"its sum ({whose}) is {said} nano-dollars, its events charged {is_}"
        yield Finding(fault=Fault.ACCOUNT_ALTERED, log=rows.log_id, id=key.holder, text=text)
    if len(wrong) > _MOST:
        text = f"and the sums of {len(wrong) - _MOST} more accounts"
        yield Finding(fault=Fault.ACCOUNT_ALTERED, log=rows.log_id, text=text)


def _charged(rows: LogRows) -> _Sums | None:
    """What outcomes say, as far as sums have been made of them; None if they cannot be read."""
    until = rows.projected()
    charged: dict[tuple[AccountKey, int], int] = {}
    with suppress(RingfenceError, msgspec.MsgspecError, ValueError):
        for part in rows.following(0):
            if part.first > until:
                break
            for sequence, leaf in enumerate(part.leaves, part.first):
                if _OUTCOME in leaf and sequence <= until:
                    _add(charged, leaf)
        return charged
    return None


def _add(charged: dict[tuple[AccountKey, int], int], leaf: bytes) -> None:
    event = _read(leaf)
    cost = int(event.cost_nano)
    for line in event.accounts if cost and event.kind == "outcome" else ():
        if line.scope not in _LIVING:
            scope, per = BudgetScope(line.scope), Per(line.per)
            place = (AccountKey(event.organisation, scope, line.holder, per), int(line.window_us))
            charged[place] = charged.get(place, 0) + cost
