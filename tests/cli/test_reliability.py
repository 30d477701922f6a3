from tests.cli.installation import Installation

from ringfence.analysis.branch import Branch, Step
from ringfence.analysis.reliability import measure, outlook
from ringfence.cli.reliability import outlook_lines, percent, reliability_lines
from ringfence.cli.terminal.style import Style
from ringfence.domain.event import Decision


def step(status: str) -> Step:
    return Step(
        action="act", time_us="1", kind="model.call", resource="small", operation="chat",
        decision=Decision(verdict="allow"), status=status, cost_nano="2000000",
    )  # fmt: skip


def run(*statuses: str) -> Branch:
    return Branch(invocation="inv", agent_name="triage", steps=[step(each) for each in statuses])


def test_what_is_not_quite_all_does_not_look_like_all() -> None:
    assert [percent(each) for each in (1.0, 0.99999, 0.5, 0.123)] == [
        "100 %", "> 99.9 %", "50 %", "12.3 %",
    ]  # fmt: skip


def test_an_agent_is_told_with_arithmetic_and_what_was_seen() -> None:
    known = measure([run("ok", "ok", "ok", "failed"), run("ok", "failed", "ok", "ok", "ok")])
    assert known is not None
    text = "\n".join(reliability_lines(known, Style()))
    assert "reliability, from the latest 2 runs" in text
    assert "87.5 % of 8" in text
    assert "75 % at the first try" in text
    assert "58.6 % of runs of 4 steps by arithmetic" in text
    assert "seen: 50 % of 2" in text
    assert (
        "triage: model.call small, 2 failed tries, 100 % of what is lost, $0.004 for them" in text
    )
    assert "at most 0 steps as they are, or 98.7 % per step" in text


def test_runs_that_always_work_are_told_in_few_words() -> None:
    known = measure([run("ok")])
    assert known is not None
    text = "\n".join(reliability_lines(known, Style()))
    assert "costs most" not in text
    assert "would help" not in text


def test_a_trace_is_told_what_its_steps_come_to() -> None:
    known = measure([run("ok", "ok", "ok", "failed")])
    assert known is not None
    seen = outlook(run("ok", "ok"), known)
    assert seen is not None
    (line,) = outlook_lines(seen, Style())
    assert "56.2 % of runs like this one work: triage 75 %^2, measured in 1 run" in line


def test_the_commands_show_it(plane: Installation) -> None:
    plane.ask("hello")
    assert "work, 100 % at the first try" in plane.call("agent", "show", "triage").out
    assert plane.call("agent", "show", "triage", "--json").json()["reliability"]["runs"] >= 1
    assert "outlook" in plane.call("trace", "show", "--last", "--agent", "triage").out
