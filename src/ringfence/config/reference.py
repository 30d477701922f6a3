"""Checks across definitions: routes of fallback, budgets that can never be used up."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from ringfence.config.problem import nearest, shown
from ringfence.config.reading import Item, Reading
from ringfence.domain.budget import Budget, Per
from ringfence.domain.model import Model, Provider
from ringfence.domain.organisation import Organisation

_SHARED_WINDOWS = (Per.HOUR, Per.DAY, Per.WEEK, Per.MONTH, Per.TOTAL)


def check_fallbacks(
    models: Mapping[str, Model], providers: Mapping[str, Provider], reading: Reading
) -> None:
    """Every fallback exists, is another model, speaks the same protocol and leads to an end."""
    graph: dict[str, list[str]] = {}
    for model in models.values():
        for name in model.fallback:
            item = reading.fallbacks[model.name, name]
            what, help_ = _judge_fallback(model, item, models, providers)
            if what:
                reading.problems.add(item.place, what, help_)
            else:
                graph.setdefault(model.name, []).append(name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # `args[1]` lists the cycle from each node to the one that depends on it.
        cycle: list[str] = list(reversed(error.args[1]))
        what = f"the fallbacks go round: {' → '.join(map(shown, cycle))}"
        place = reading.fallbacks[cycle[0], cycle[1]].place
        reading.problems.add(place, what, "remove one of them")


def _judge_fallback(
    model: Model, item: Item, models: Mapping[str, Model], providers: Mapping[str, Provider]
) -> tuple[str, str]:
    name = item.value
    if name not in models:
        what = f"unknown model {shown(item.written)} in fallback of {shown(model.name)}"
        return what, nearest(item.written, models)
    if name == model.name:
        return f"model {shown(name)} cannot be its own fallback", "name another model"
    first, second = providers.get(model.provider), providers.get(models[name].provider)
    if first and second and first.protocol is not second.protocol:
        return (
            f"fallback {shown(name)} of model {shown(model.name)} speaks another protocol",
            f"`{first.name}` speaks {first.protocol}, `{second.name}` {second.protocol}",
        )
    return "", ""


def note_budgets(organisation: Organisation, reading: Reading) -> None:
    """Note each budget that is larger than a wider one of the same window."""
    for team in organisation.teams.values():
        _compare(("team", team.name), team.budgets, _WHOLE, organisation.budgets, reading)
    for agent in organisation.agents.values():
        holder = ("agent", agent.name)
        _compare(holder, agent.budgets, _WHOLE, organisation.budgets, reading)
        if agent.team and agent.team in organisation.teams:
            team = organisation.teams[agent.team]
            _compare(holder, agent.budgets, f"team {shown(team.name)}", team.budgets, reading)


_WHOLE = "the organisation"


def _compare(
    holder: tuple[str, str],
    narrow: Iterable[Budget],
    wider_name: str,
    wide: Iterable[Budget],
    reading: Reading,
) -> None:
    limits = {budget.per: budget.limit for budget in wide}
    for budget in narrow:
        limit = limits.get(budget.per)
        if budget.per in _SHARED_WINDOWS and limit is not None and budget.limit > limit:
            noun, name = holder
            what = f"the budget per {budget.per} of {noun} {shown(name)} can never be used up"
            help_ = f"{wider_name} has less per {budget.per}"
            reading.notes.add(reading.places["budget", noun, name, budget.per], what, help_)
