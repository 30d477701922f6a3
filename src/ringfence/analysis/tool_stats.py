"""How tools fare: how often each works, how fast, what goes wrong, and what it costs."""

from collections.abc import Iterable
from typing import Final, final

import msgspec

from ringfence.domain.action import ActionKind
from ringfence.domain.event import AnyEvent, Intent, Outcome, Status

_DURATIONS_KEPT: Final = 2_000
"""Of each line; beyond that every second one is let go, so that what is kept stays even."""


class ToolStats(msgspec.Struct, kw_only=True):
    """One tool as one version of one agent has called it. Money is nano-dollars, as text.

    `ok` counts calls whose result was good; `errors` the others by class (`tool_error`, `429`,
    `timeout` …). Calls that are still running are counted nowhere.
    """

    tool: str
    agent: str
    version: str
    calls: int = 0
    ok: int = 0
    success_ratio: float = 0.0
    errors: dict[str, int] = {}
    median_us: int = 0
    p95_us: int = 0
    cost_nano: str = "0"
    last_us: str = ""


@final
class _Line:
    def __init__(self, stats: ToolStats) -> None:
        self.stats = stats
        self.cost = 0
        self._durations: list[int] = []
        self._every = 1

    def add(self, outcome: Outcome) -> None:
        stats = self.stats
        stats.calls += 1
        stats.last_us = outcome.time_us
        self.cost += int(outcome.cost_nano)
        if outcome.status is Status.OK and not outcome.error:
            stats.ok += 1
        else:
            name = outcome.error or outcome.status.value
            stats.errors = {**stats.errors, name: stats.errors.get(name, 0) + 1}
        if stats.calls % self._every == 0:
            self._durations.append(outcome.duration_us)
        if len(self._durations) > _DURATIONS_KEPT:
            self._durations = self._durations[::2]
            self._every *= 2

    def closed(self) -> ToolStats:
        stats, durations = self.stats, sorted(self._durations)
        stats.success_ratio = stats.ok / stats.calls
        stats.cost_nano = str(self.cost)
        stats.median_us = _quantile(durations, 0.5)
        stats.p95_us = _quantile(durations, 0.95)
        return stats


def tool_stats(events: Iterable[AnyEvent]) -> list[ToolStats]:
    """Read events, oldest first; the worst success comes first, then the most calls."""
    running: dict[str, Intent] = {}
    lines: dict[tuple[str, str, str], _Line] = {}
    for event in events:
        if isinstance(event, Intent) and event.action_kind == ActionKind.TOOL_CALL:
            running[event.action] = event
        elif isinstance(event, Outcome) and (intent := running.pop(event.action, None)):
            key = (intent.resource, intent.agent_name, intent.agent_version)
            line = lines.get(key)
            if line is None:
                stats = ToolStats(tool=key[0], agent=key[1], version=key[2])
                line = lines[key] = _Line(stats)
            line.add(event)
    found = [line.closed() for line in lines.values()]
    return sorted(found, key=lambda each: (each.success_ratio, -each.calls, each.tool, each.agent))


def _quantile(durations: list[int], part: float) -> int:
    return durations[min(len(durations) - 1, int(part * len(durations)))] if durations else 0
