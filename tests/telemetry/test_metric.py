from hypothesis import given
from hypothesis import strategies as st
from tests.telemetry.event import intent, outcome

from ringfence.telemetry.metric import CallKey, Meter, RefusalKey, Spread, Stage, ToolCallKey, join


@given(st.lists(st.integers(min_value=-5, max_value=2**40)))
def test_every_duration_is_in_the_slot_of_its_bound(durations_us: list[int]) -> None:
    spread = Spread()
    for each in durations_us:
        spread.add(each)
    assert sum(spread.counts) == len(durations_us)
    for slot in range(31):
        below = sum(spread.counts[: slot + 1])
        assert below == sum(each < 2**slot for each in durations_us)


def test_calls_are_counted_by_agent_model_and_status() -> None:
    meter = Meter()
    meter.ended(intent("small"), outcome(cost=30, tokens=(10, 3)))
    meter.ended(intent("small"), outcome(cost=5, tokens=(1, 1)))
    meter.ended(intent("large"), outcome(cost=7, tokens=None))
    counted = dict(meter.read().calls)
    small = counted[CallKey("org_1", "triage", "small", "ok")]
    assert (small.calls, small.cost_nano) == (2, 35)
    assert (small.input_tokens, small.output_tokens) == (11, 4)
    large = counted[CallKey("org_1", "triage", "large", "ok")]
    assert (large.calls, large.input_tokens) == (1, 0)


def test_durations_go_to_their_stage() -> None:
    meter = Meter()
    meter.decided(100)
    meter.made_durable(200)
    meter.ended(intent("small"), outcome(duration_us=3000, first_byte_us=900))
    meter.ended(intent("small"), outcome(duration_us=5, first_byte_us=0))
    totals = {stage: spread.total_us for stage, spread in meter.read().stages.items()}
    assert totals == {
        Stage.DECIDE: 100,
        Stage.INTENT: 200,
        Stage.FIRST_BYTE: 900,
        Stage.CALL: 3005,
    }


def test_workers_are_summed_and_keep_their_own_counts() -> None:
    meters = [Meter(), Meter()]
    for meter in meters:
        meter.ended(intent("small"), outcome())
        meter.refused("org_1", "triage", "out_of_scope")
        meter.decided(10)
    parts = [meter.read() for meter in meters]
    for part in parts:
        part.totals = {"ledger_events": 4}
        part.gauges = {"waiting": 1}
    for _ in range(2):
        whole = join(parts)
        assert whole.calls[0][1].calls == 2
        assert whole.refusals == [(RefusalKey("org_1", "triage", "out_of_scope"), 2)]
        assert sum(whole.stages[Stage.DECIDE].counts) == 2
        assert (whole.totals, whole.gauges) == ({"ledger_events": 8}, {"waiting": 2})


def test_tool_calls_are_counted_by_what_came_of_them() -> None:
    meter = Meter()
    meter.tool_ended(intent("crm__get"), outcome(cost=3, duration_us=10))
    meter.tool_ended(intent("crm__get"), outcome(cost=4, duration_us=20))
    failed = outcome(duration_us=5)
    failed.error = "429"
    meter.tool_ended(intent("crm__get"), failed)
    counted = dict(join([meter.read(), meter.read()]).tools)
    good = counted[ToolCallKey("org_1", "triage", "crm__get", "ok")]
    assert (good.calls, good.duration_us, good.cost_nano) == (4, 60, 14)
    assert counted[ToolCallKey("org_1", "triage", "crm__get", "429")].calls == 2
    assert not meter.read().calls


def test_made_up_tools_do_not_grow_without_bound() -> None:
    meter = Meter()
    for number in range(3_000):
        meter.tool_ended(intent(f"own__{number}"), outcome())
    counted = dict(meter.read().tools)
    assert len(counted) <= 2_001
    assert counted[ToolCallKey("org_1", "triage", "others", "ok")].calls == 1_000
