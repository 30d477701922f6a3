from tests.cli.trace.steps import message, reading, step, text

from ringfence.analysis.branch import Step
from ringfence.cli.terminal.style import Style
from ringfence.cli.trace.sheet import Sheet
from ringfence.cli.trace.step import write_step
from ringfence.domain.event import Attempt, Decision
from ringfence.domain.exchange import Part, Reading
from ringfence.domain.usage import Usage

CALL = Part(kind="tool_call", name="find", text='{"q": 1}', id="c1")
THOUGHT = Part(kind="reasoning", text="hm")


def written(now: Step, before: Step | None = None, *, is_full: bool = False) -> str:
    sheet = Sheet(Style(), 100, is_full=is_full)
    write_step(sheet, now, before)
    return "\n".join(sheet.lines)


def test_a_step_says_what_it_cost_exactly_and_what_is_left() -> None:
    shown = written(step())
    assert "small → house/llama  $0.001234567" in shown
    assert "1,200 tokens in (1,000 cached), 34 out · 250 ms · stop" in shown
    assert "$0.998765433 of $1.00 (agent, day)" in shown


def test_reasoning_calls_results_and_text_each_have_their_label() -> None:
    context = [
        message("user", "Find it."),
        message("assistant", CALL),
        message("tool", Part(kind="tool_result", text="42", id="c1")),
    ]
    answer = message("assistant", THOUGHT, "It is 42.", CALL)
    shown = written(
        step(reading=reading(context, answer, system=[text("Be kind.")], tools=["find"]))
    )
    for line in (
        "system     Be kind.",
        "user       Find it.",
        'calls      find {"q": 1}',
        "result     42",
        "tools      find",
        "thinking   hm",
        "answer     It is 42.",
    ):
        assert line in shown


def test_what_the_step_before_had_is_not_repeated() -> None:
    first = step(
        reading=reading(
            [message("user", "Find it.")],
            message("assistant", THOUGHT, CALL),
            system=[text("Be kind.")],
            tools=["find"],
        )
    )
    result = message("tool", Part(kind="tool_result", text="42"))
    later = reading([message("assistant", CALL), result], system=[text("Be kind.")], tools=["find"])
    shown = written(step(number=2, reading=later, earlier_messages=1), first)
    assert "… after 2 earlier messages" in shown
    assert "result     42" in shown
    assert "Be kind." not in shown
    assert "calls" not in shown
    assert "tools      " not in shown


def test_an_answer_in_several_messages_is_recognised_too() -> None:
    first = step(reading=reading([], message("assistant", THOUGHT, "Wait.", CALL)))
    later = reading([message("assistant", "Wait."), message("assistant", CALL)])
    assert "Wait." not in written(step(reading=later), first)


def test_a_changed_history_is_shown() -> None:
    first = step(reading=reading([], message("assistant", "I said this.")))
    later = reading([message("assistant", "I said that.")])
    assert "I said that." in written(step(reading=later), first)


def test_a_full_step_repeats_everything() -> None:
    first = step(reading=reading([], message("assistant", "Before."), system=[text("Be kind.")]))
    later = reading([message("assistant", "Before.")], system=[text("Be kind.")])
    shown = written(step(reading=later), first, is_full=True)
    assert "Before." in shown
    assert "Be kind." in shown


def test_a_lowered_limit_is_a_reason() -> None:
    decision = Decision(verdict="allow", obligations=["output_limit=620 (budget)"])
    assert "verdict    allow · output limit 620 (budget)" in written(step(decision=decision))


def test_what_an_obligation_quotes_is_shown_as_it_stands() -> None:
    decision = Decision(verdict="allow", obligations=["hint=same_calls (`get_job` again, a=1)"])
    assert "hint same calls (`get_job` again, a=1)" in written(step(decision=decision))


def test_a_refusal_counts_its_repeats() -> None:
    decision = Decision(verdict="deny", code="out_of_scope", message="agent `x` has no model `y`")
    shown = written(step(is_refused=True, repeats=3, decision=decision, provider="", usage=None))
    assert "small  REFUSED out_of_scope ×4" in shown
    assert "refused    agent `x` has no model `y`" in shown


def test_an_end_that_is_not_well_is_told_with_every_attempt() -> None:
    attempts = [
        Attempt(provider="house", upstream="llama", error="connect", duration_us=5),
        Attempt(provider="other", upstream="mini", status=500, duration_us=9000),
    ]
    failed = step(
        status="upstream_error", http_status=500, error="server_error", attempts=attempts,
        usage=Usage(input_tokens=1, output_tokens=0, estimated=True), overrun_nano="5",
    )  # fmt: skip
    shown = written(failed)
    assert "ended      upstream_error · HTTP 500 · server_error" in shown
    assert "tried      house/llama · connect · 5 µs" in shown
    assert "tried      other/mini · HTTP 500 · 9 ms" in shown
    assert "0 out, estimated · $0.001234567 · $0.000000005 over what was set aside" in shown


def test_a_step_that_has_not_ended_says_so() -> None:
    assert "still running" in written(step(status="", usage=None, duration_us=0, finish=""))


def test_a_stream_tells_its_first_byte() -> None:
    shown = written(step(is_stream=True, first_byte_us=12_000))
    assert "250 ms, first byte after 12 ms" in shown


def test_messages_that_are_not_stored_are_said_to_be_missing() -> None:
    shown = written(step(tool_calls=["find"]))
    assert "messages   not stored" in shown
    assert "calls      find" in shown


def test_media_are_named_not_shown() -> None:
    shown = written(step(reading=reading([message("user", Part(kind="image"))])))
    assert "user       [image]" in shown


def test_a_tool_call_says_who_asked_for_it_with_what_and_what_came_back() -> None:
    parts = (
        Part(kind="tool_call", text='{"id":7}'),
        Part(kind="tool_result", text="open"),
    )
    shown = written(
        step(
            kind="tool.call",
            resource="crm__get_job",
            permission="read",
            asked_by="act_1",
            decision=Decision(verdict="allow", facts={"policies": "scope:triage:tools:crm__*"}),
            reading=Reading(answer=message("tool", *parts)),
        )
    )
    for line in (
        "tool       read · asked for by act_1",
        'arguments  {"id":7}',
        "result     open",
        "policies   scope:triage:tools:crm__*",
    ):
        assert line in shown
    assert "arguments  not stored" in written(step(kind="tool.call", reading=None))
