from prometheus_client.parser import text_string_to_metric_families
from tests.telemetry.event import intent, outcome

from ringfence.telemetry.metric import Meter
from ringfence.telemetry.prometheus import BudgetGauge, render

BUDGET = BudgetGauge(
    scope="agent",
    holder='tri"age\n',
    per="day",
    limit_nano=1_000_000_000,
    spent_nano=250_000_000,
    reserved_nano=0,
)


def samples(meter: Meter, *budgets: BudgetGauge, **gauges: int) -> dict[str, float]:
    """What Prometheus' own parser reads, by name and labels."""
    measured = meter.read()
    measured.gauges = dict(gauges)
    families = text_string_to_metric_families(render(measured, budgets).decode())
    return {
        f"{each.name}{sorted(each.labels.items())}": each.value
        for family in families
        for each in family.samples
    }


def test_what_was_counted_is_what_prometheus_reads() -> None:
    meter = Meter()
    meter.ended(intent("small"), outcome(cost=2_000_000_000, tokens=(10, 3)))
    meter.refused("org_1", "triage", "budget_exhausted")
    read = samples(meter, BUDGET, workers=2)
    by_model = "('agent', 'triage'), ('model', 'small')"
    assert read[f"ringfence_model_calls_total[{by_model}, ('status', 'ok')]"] == 1
    assert read[f"ringfence_model_cost_usd_total[{by_model}]"] == 2.0
    tokens = "ringfence_model_tokens_total[('agent', 'triage'), ('direction', '{}'), {}]"
    assert read[tokens.format("input", "('model', 'small')")] == 10
    assert read[tokens.format("output", "('model', 'small')")] == 3
    refused = "ringfence_refusals_total[('agent', 'triage'), ('code', 'budget_exhausted')]"
    assert read[refused] == 1
    assert read["ringfence_workers[]"] == 2


def test_tool_calls_are_told_by_agent_tool_and_result() -> None:
    meter = Meter()
    meter.tool_ended(intent("crm__get"), outcome(cost=500_000_000, duration_us=2_000_000))
    read = samples(meter)
    agent, tool = "('agent', 'triage')", "('tool', 'crm__get')"
    assert read[f"ringfence_tool_calls_total[{agent}, ('result', 'ok'), {tool}]"] == 1
    assert read[f"ringfence_tool_seconds_total[{agent}, {tool}]"] == 2.0
    assert read[f"ringfence_tool_cost_usd_total[{agent}, {tool}]"] == 0.5


def test_names_cannot_break_the_format() -> None:
    read = samples(Meter(), BUDGET)
    labels = [("holder", 'tri"age\n'), ("per", "day"), ("scope", "agent")]
    assert read[f"ringfence_budget_spent_usd{labels}"] == 0.25


def test_buckets_are_cumulative_and_end_with_all() -> None:
    meter = Meter()
    for duration_us in (1, 3, 900, 2**40):
        meter.decided(duration_us)
    read = samples(meter)
    of_stage = "('stage', 'decide')]"
    assert read[f"ringfence_stage_seconds_bucket[('le', '1e-06'), {of_stage}"] == 1
    assert read[f"ringfence_stage_seconds_bucket[('le', '3e-06'), {of_stage}"] == 2
    assert read[f"ringfence_stage_seconds_bucket[('le', '0.001023'), {of_stage}"] == 3
    assert read[f"ringfence_stage_seconds_bucket[('le', '+Inf'), {of_stage}"] == 4
    assert read[f"ringfence_stage_seconds_count[{of_stage}"] == 4
