from tests.stores.ledger.event import intent, outcome

from ringfence.analysis.tool_stats import ToolStats, tool_stats
from ringfence.domain.event import AnyEvent, Intent, Outcome, Status


def call(
    number: int, *, tool: str = "crm__get_job", error: str = "", version: str = "1"
) -> tuple[Intent, Outcome]:
    asked = intent(f"act_{number}")
    asked.action_kind, asked.resource, asked.agent_version = "tool.call", tool, version
    ended = outcome(asked, cost=5)
    ended.duration_us = number
    ended.error = error
    ended.status = Status.FAILED if error else Status.OK
    return asked, ended


def of(*calls: tuple[Intent, Outcome]) -> list[ToolStats]:
    events: list[AnyEvent] = [event for pair in calls for event in pair]
    return tool_stats(events)


def test_a_tool_is_told_by_how_often_it_works_and_what_goes_wrong() -> None:
    [found] = of(*(call(n, error="429" if n % 4 == 0 else "") for n in range(100)))
    assert (found.calls, found.ok, found.success_ratio) == (100, 75, 0.75)
    assert found.errors == {"429": 25}
    assert (found.median_us, found.p95_us, found.cost_nano) == (50, 95, "500")


def test_tools_and_versions_are_told_apart_the_worst_first() -> None:
    found = of(
        call(1),
        call(2, version="2", error="timeout"),
        call(3, tool="crm__add_job"),
        call(4, tool="crm__add_job", error="tool_error"),
    )
    assert [(each.tool, each.version, each.success_ratio) for each in found] == [
        ("crm__get_job", "2", 0.0),
        ("crm__add_job", "1", 0.5),
        ("crm__get_job", "1", 1.0),
    ]


def test_calls_of_models_and_what_still_runs_are_left_out() -> None:
    running, _ = call(1)
    model = intent("act_9")
    assert tool_stats([running, model, outcome(model)]) == []


def test_many_calls_are_kept_in_bounded_memory_and_stay_even() -> None:
    [found] = of(*(call(n) for n in range(10_000)))
    assert abs(found.median_us - 5_000) < 100
    assert abs(found.p95_us - 9_500) < 100
