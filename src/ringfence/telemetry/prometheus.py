"""Figures in Prometheus' text form. Imported when somebody asks: the library takes 70 ms.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest

from ringfence.telemetry.metric import (
    CallCount,
    CallKey,
    Measured,
    RefusalKey,
    Spread,
    Stage,
    ToolCallCount,
    ToolCallKey,
)

_NANO = 1_000_000_000
_US_PER_S = 1_000_000


class BudgetGauge(msgspec.Struct, frozen=True, kw_only=True):
    """One budget in its present window, in nano-dollars."""

    scope: str
    holder: str
    per: str
    limit_nano: int
    spent_nano: int
    reserved_nano: int


def render(measured: Measured, budgets: Sequence[BudgetGauge]) -> bytes:
    """All of it; the caller has left out what is not the asker's to see."""
    return generate_latest(
        _Families(
            [
                *_calls(measured.calls),
                *_tools(measured.tools),
                _refusals(measured.refusals),
                *_budgets(budgets),
                _stages(measured.stages),
                *_plain(measured),
            ]
        )
    )


class _Families:
    """What the library calls a registry, for figures that were counted elsewhere."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _calls(counted: Iterable[tuple[CallKey, CallCount]]) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "ringfence_model_calls",
        "Model calls that ended, by status.",
        labels=["agent", "model", "status"],
    )
    by_model: dict[tuple[str, str], CallCount] = {}
    for key, count in counted:
        calls.add_metric([key.agent, key.model, key.status], count.calls)
        by_model.setdefault((key.agent, key.model), CallCount()).join(count)
    cost = CounterMetricFamily(
        "ringfence_model_cost_usd", "What model calls were charged.", labels=["agent", "model"]
    )
    tokens = CounterMetricFamily(
        "ringfence_model_tokens",
        "Tokens that providers counted.",
        labels=["agent", "model", "direction"],
    )
    for (agent, model), count in by_model.items():
        cost.add_metric([agent, model], count.cost_nano / _NANO)
        tokens.add_metric([agent, model, "input"], count.input_tokens)
        tokens.add_metric([agent, model, "output"], count.output_tokens)
    yield from (calls, cost, tokens)


def _tools(counted: Iterable[tuple[ToolCallKey, ToolCallCount]]) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "ringfence_tool_calls",
        "Tool calls that ended, by what came of them.",
        labels=["agent", "tool", "result"],
    )
    seconds = CounterMetricFamily(
        "ringfence_tool_seconds", "What tool calls took in all.", labels=["agent", "tool"]
    )
    cost = CounterMetricFamily(
        "ringfence_tool_cost_usd", "What tool calls were charged.", labels=["agent", "tool"]
    )
    by_tool: dict[tuple[str, str], ToolCallCount] = {}
    for key, count in counted:
        calls.add_metric([key.agent, key.tool, key.result], count.calls)
        by_tool.setdefault((key.agent, key.tool), ToolCallCount()).join(count)
    for (agent, tool), count in by_tool.items():
        seconds.add_metric([agent, tool], count.duration_us / _US_PER_S)
        cost.add_metric([agent, tool], count.cost_nano / _NANO)
    yield from (calls, seconds, cost)


def _refusals(counted: Iterable[tuple[RefusalKey, int]]) -> Metric:
    refusals = CounterMetricFamily(
        "ringfence_refusals", "Actions refused, by reason.", labels=["agent", "code"]
    )
    for key, count in counted:
        refusals.add_metric([key.agent, key.code], count)
    return refusals


def _budgets(budgets: Sequence[BudgetGauge]) -> Iterator[Metric]:
    labels = ["scope", "holder", "per"]
    limit = GaugeMetricFamily(
        "ringfence_budget_limit_usd", "Limit of this window, with grants.", labels=labels
    )
    spent = GaugeMetricFamily(
        "ringfence_budget_spent_usd", "Charged in this window.", labels=labels
    )
    reserved = GaugeMetricFamily(
        "ringfence_budget_reserved_usd", "Set aside for calls that run.", labels=labels
    )
    for each in budgets:
        values = [each.scope, each.holder, each.per]
        limit.add_metric(values, each.limit_nano / _NANO)
        spent.add_metric(values, each.spent_nano / _NANO)
        reserved.add_metric(values, each.reserved_nano / _NANO)
    yield from (limit, spent, reserved)


def _stages(stages: Mapping[Stage, Spread]) -> Metric:
    family = HistogramMetricFamily(
        "ringfence_stage_seconds", "Where the time of model calls goes.", labels=["stage"]
    )
    for stage, spread in stages.items():
        family.add_metric([stage.value], _buckets(spread), spread.total_us / _US_PER_S)
    return family


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    """Cumulative counts. A slot holds whole microseconds below 2ⁿ, so at most 2ⁿ - 1."""
    buckets: list[tuple[str, float]] = []
    below = 0
    for slot, count in enumerate(spread.counts[:-1]):
        below += count
        buckets.append((str(((1 << slot) - 1) / _US_PER_S), below))
    return [*buckets, ("+Inf", below + spread.counts[-1])]


def _plain(measured: Measured) -> Iterator[Metric]:
    for name, value in sorted(measured.totals.items()):
        yield CounterMetricFamily(f"ringfence_{name}", _words(name), value=value)
    for name, value in sorted(measured.gauges.items()):
        yield GaugeMetricFamily(f"ringfence_{name}", _words(name), value=value)


def _words(name: str) -> str:
    return f"{name.replace('_', ' ').capitalize()}."
