"""Budgets: a mapping or a list of them, wherever one may stand."""

from collections.abc import Iterator
from decimal import Decimal

from ringfence.config.definition import amount
from ringfence.config.section import Section
from ringfence.config.tree import Items, Node
from ringfence.domain.budget import Budget, Per
from ringfence.domain.money import Money

_SMALLEST = Decimal("0.000000001")
_OF_ONE_RUN = frozenset({Per.INVOCATION, Per.TREE})


def read(section: Section, holder: tuple[str, str] | None = None) -> tuple[Budget, ...]:
    """Read the `budget` of a section; `holder` (noun, name) lets budgets be compared later."""
    node = section.node("budget")
    if node is None:
        return ()
    nodes: tuple[Node, ...] = node.items if isinstance(node, Items) else (node,)
    budgets: dict[Per, Budget] = {}
    for budget, inner in _each(section, nodes):
        if budget.per in budgets:
            what = f"two budgets per {budget.per} in {section.where}"
            section.problem(inner.place, what, "keep one for each window")
        elif budget.per in _OF_ONE_RUN and (holder is None or holder[0] != "agent"):
            what = f"{section.where} cannot have a budget per {budget.per}"
            section.problem(inner.at("per"), what, "only an agent can; use hour, day, week…")
        budgets[budget.per] = budget
        if holder:
            section.reading.places["budget", *holder, budget.per] = inner.place
    return tuple(budgets.values())


def _each(section: Section, nodes: tuple[Node, ...]) -> Iterator[tuple[Budget, Section]]:
    for node in nodes:
        where = f"the budget of {section.where}"
        inner = Section(node, where, section.reading, "budget: {usd: 5, per: day}")
        inner.require("usd", "per")
        limit = amount.read(inner, "usd", least=_SMALLEST)
        has_per = "per" in inner
        per = inner.word("per", Per.TOTAL)
        inner.close()
        if limit is not None and has_per:
            yield Budget(limit=Money(limit), per=per), inner
