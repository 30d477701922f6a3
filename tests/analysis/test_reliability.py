import pytest

from ringfence.analysis.branch import Branch, Step
from ringfence.analysis.reliability import Kind, measure, outlook, tally
from ringfence.domain.event import Decision, Status


def step(
    status: str = "ok", *, resource: str = "small", kind: str = "model.call", cost: int = 10
) -> Step:
    return Step(
        action="act",
        time_us="1",
        kind=kind,
        resource=resource,
        operation="chat",
        decision=Decision(verdict="allow"),
        status=status,
        cost_nano=str(cost),
        duration_us=1000,
    )


def refused(repeats: int = 0) -> Step:
    found = step("")
    found.is_refused = True
    found.repeats = repeats
    return found


def run(*steps: Step, agent: str = "triage", children: tuple[Branch, ...] = ()) -> Branch:
    return Branch(invocation="inv", agent_name=agent, steps=list(steps), children=list(children))


SMALL = Kind("triage", "model.call", "small")


def test_a_failure_and_the_try_after_it_are_one_step() -> None:
    (found,) = tally(run(step("upstream_error"), step("failed"), step(), step())).values()
    assert (found.steps, found.at_once, found.in_the_end, found.tries) == (2, 1, 2, 4)
    assert (found.wasted_nano, found.wasted_us) == (20, 2000)


def test_what_was_given_up_failed() -> None:
    (found,) = tally(run(step(), step("cut"))).values()
    assert (found.steps, found.in_the_end) == (2, 1)


def test_a_refusal_is_a_try_with_its_repeats() -> None:
    (found,) = tally(run(refused(repeats=4))).values()
    assert (found.steps, found.in_the_end, found.tries) == (1, 0, 5)


@pytest.mark.parametrize("status", ["", Status.CLIENT_GONE.value])
def test_what_has_not_ended_or_was_left_says_nothing(status: str) -> None:
    assert tally(run(step(status))) == {}
    assert measure([run(step(status))]) is None


def test_another_kind_of_action_is_no_further_try() -> None:
    found = tally(run(step("failed"), step(kind="tool.call", resource="read")))
    assert found[SMALL].in_the_end == 0
    assert found[Kind("triage", "tool.call", "read")].in_the_end == 1


def test_a_further_try_may_go_elsewhere_and_counts_where_it_began() -> None:
    found = tally(run(step("failed"), step(resource="large")))
    assert set(found) == {SMALL}
    assert found[SMALL].in_the_end == 1


def test_per_step_and_per_run_are_measured_and_compounded() -> None:
    bad = run(*[step()] * 9, step("failed"))
    good = run(*[step()] * 10)
    known = measure([good, good, good, bad])
    assert known is not None
    assert (known.runs, known.steps_per_run) == (4, 10.0)
    assert known.per_step.value == pytest.approx(39 / 40)
    assert known.per_run.value == pytest.approx((39 / 40) ** 10)
    assert known.observed.value == 0.75


def test_recovery_shows_as_the_difference_between_first_try_and_end() -> None:
    known = measure([run(step("failed"), step(), step())])
    assert known is not None
    assert (known.first_try.value, known.per_step.value) == (0.5, 1.0)
    assert known.first_try_per_run.value == 0.25
    assert known.remedies == []


def test_a_chain_of_agents_multiplies() -> None:
    below = run(step(), step("failed"), agent="search")
    known = measure([run(step(), step(), children=(below,))])
    assert known is not None
    assert [(link.agent, link.per_step.value, link.steps) for link in known.chain] == [
        ("triage", 1.0, 2.0),
        ("search", 0.5, 2.0),
    ]
    assert {each.what for each in known.remedies} == {
        "fewer_steps", "checkpoint", "merged_agent", "without_worst",
    }  # fmt: skip
    assert known.remedies[0].what == "without_worst"
    assert known.remedies[0].success == 1.0


def test_the_step_that_costs_most_comes_first() -> None:
    small, large = step("failed"), step("failed", resource="large")
    known = measure([run(*[step()] * 50, small, large), run(step(resource="large"), large)])
    assert known is not None
    assert sum(part.loss_ratio for part in known.parts) == pytest.approx(1.0)
    assert known.parts[0].loss_ratio >= known.parts[-1].loss_ratio


def test_a_run_without_measured_steps_has_no_outlook() -> None:
    known = measure([run(step(), step())])
    assert known is not None
    assert outlook(run(), known) is None


def test_an_outlook_takes_the_steps_of_one_run_and_the_success_of_many() -> None:
    history = [run(*[step()] * 9, step("failed"))] * 10
    known = measure(history)
    assert known is not None
    seen = outlook(run(step(), step(), step()), known)
    assert seen is not None
    assert (seen.runs, seen.chain[0].steps) == (10, 3)
    assert seen.success == pytest.approx(0.9**3)


def test_what_programs_of_a_sandbox_do_is_no_step_of_the_agents_own() -> None:
    inside = [step("cut", kind="shell.exec"), step("failed", kind="http.request")]
    found = tally(run(step(), *inside, step()))
    assert list(found) == [SMALL]
    assert found[SMALL].steps == 2
