"""What models get wrong with a tool, from the calls that were refused for their arguments."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Mistake(NamedTuple):
    """One call whose arguments were refused: `parameters` are those that were wrong."""

    tool: str
    model: str
    at_us: int
    parameters: tuple[str, ...]


class ToolUse(NamedTuple):
    """One call of a tool, right or wrong."""

    tool: str
    model: str
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Misuse:
    """How often a model gets one parameter of a tool wrong; before and after its last change.

    Of `calls` (with `calls_before` of them before the change) so many were refused for it.
    """

    tool: str
    parameter: str
    model: str
    wrong: int
    calls: int
    wrong_before: int
    calls_before: int


def misuse(
    uses: Iterable[ToolUse], mistakes: Iterable[Mistake], changed_us: dict[str, int]
) -> tuple[Misuse, ...]:
    """The worst first. `changed_us` is when a tool got the definition that it has now."""
    calls: Counter[tuple[str, str, bool]] = Counter()
    for each in uses:
        calls[each.tool, each.model, _is_before(each.tool, each.at_us, changed_us)] += 1
    wrong: Counter[tuple[str, str, str, bool]] = Counter()
    for mistake in mistakes:
        is_before = _is_before(mistake.tool, mistake.at_us, changed_us)
        for parameter in mistake.parameters:
            wrong[mistake.tool, parameter, mistake.model, is_before] += 1
    found = [
        Misuse(
            tool=tool,
            parameter=parameter,
            model=model,
            wrong=wrong[tool, parameter, model, False],
            calls=calls[tool, model, False],
            wrong_before=wrong[tool, parameter, model, True],
            calls_before=calls[tool, model, True],
        )
        for tool, parameter, model in {key[:3] for key in wrong}
    ]
    return tuple(sorted(found, key=_rank))


def _rank(each: Misuse) -> tuple[int, str, str, str]:
    return -each.wrong - each.wrong_before, each.tool, each.parameter, each.model


def _is_before(tool: str, at_us: int, changed_us: dict[str, int]) -> bool:
    return at_us < changed_us.get(tool, 0)
