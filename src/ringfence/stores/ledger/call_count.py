"""How often a tree of runs has done what is no model call, kept among what accounts were charged.

A row of the accounts says it in its period: `tree/tool_calls`, `tree/commands` and so on, or
`tree/tool_calls/<tool>` of one tool. The steps of an invocation count actions of every kind, so
what is counted here is no model call.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from ringfence.decisions.limit import call_key, model_calls_key
from ringfence.domain.action import ActionKind
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit
from ringfence.domain.event import Intent

Place = tuple[str, str, str, str, str]
"""Organisation, scope, holder, period and start of the window, as the accounts name them."""

_UNITS: Final[Mapping[str, Unit]] = {
    ActionKind.TOOL_CALL: Unit.TOOL_CALLS,
    ActionKind.SHELL_EXEC: Unit.COMMANDS,
    ActionKind.HTTP_REQUEST: Unit.HTTP_REQUESTS,
}
_PERIODS: Final = {f"tree/{unit.value}": unit for unit in _UNITS.values()}
_PERIOD_OF: Final = {str(kind): f"tree/{unit.value}" for kind, unit in _UNITS.items()}
_TREE: Final = BudgetScope.TREE.value
_BY_NAME: Final = f"tree/{Unit.TOOL_CALLS.value}"
"""Calls of tools are counted by tool, too."""


def places(event: Intent) -> tuple[Place, ...]:
    """Where an action counts, once each; nowhere for a model call."""
    period = _PERIOD_OF.get(event.action_kind)
    if period is None:
        return ()
    total = (event.organisation, _TREE, event.root, period, "0")
    if period != _BY_NAME:
        return (total,)
    return total, (event.organisation, _TREE, event.root, f"{period}/{event.resource}", "0")


def read(
    rows: Iterable[tuple[str, str, str, str, int, int]],
) -> Iterator[tuple[AccountKey, int, int]]:
    """Rows of the accounts as accounts: key, start of the window, amount."""
    no_model_calls: dict[tuple[str, str], int] = {}
    for organisation, scope, holder, per, start_us, amount in rows:
        tree, _, rest = per.partition("/")
        name, _, part = rest.partition("/")
        unit = _PERIODS.get(f"{tree}/{name}")
        if unit is None:
            key = AccountKey(organisation, BudgetScope(scope), holder, Per(per))
            yield key, start_us, amount
            continue
        yield call_key(organisation, holder, unit, part), start_us, amount
        if not part:
            run = (organisation, holder)
            no_model_calls[run] = no_model_calls.get(run, 0) + amount
    for (organisation, holder), amount in no_model_calls.items():
        yield model_calls_key(organisation, holder), 0, -amount
