"""How often a tree of runs has called tools, kept among what its accounts were charged.

A row of the accounts says it in its period: `tree/tool_calls`, or `tree/tool_calls/<tool>` of one
tool. The steps of an invocation count calls of every kind, so what is a tool call is no model call.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from ringfence.decisions.limit import model_calls_key, tool_calls_key
from ringfence.domain.action import ActionKind
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.event import Intent

Place = tuple[str, str, str, str, str]
"""Organisation, scope, holder, period and start of the window, as the accounts name them."""

_TOTAL: Final = "tree/tool_calls"


def places(event: Intent) -> tuple[Place, ...]:
    """Where a tool call counts, once each; nowhere for other actions."""
    if event.action_kind != ActionKind.TOOL_CALL:
        return ()
    tree = (event.organisation, BudgetScope.TREE.value, event.root)
    return (*tree, _TOTAL, "0"), (*tree, f"{_TOTAL}/{event.resource}", "0")


def read(
    rows: Iterable[tuple[str, str, str, str, int, int]],
) -> Iterator[tuple[AccountKey, int, int]]:
    """Rows of the accounts as accounts: key, start of the window, amount."""
    for organisation, scope, holder, per, start_us, amount in rows:
        if not per.startswith(_TOTAL):
            key = AccountKey(organisation, BudgetScope(scope), holder, Per(per))
            yield key, start_us, amount
            continue
        tool = per[len(_TOTAL) + 1 :]
        yield tool_calls_key(organisation, holder, tool), start_us, amount
        if not tool:
            yield model_calls_key(organisation, holder), start_us, -amount
