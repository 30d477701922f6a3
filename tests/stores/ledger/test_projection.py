from tests.stores.ledger.event import change, intent, outcome, refusal

from ringfence.domain.event import AnyEvent
from ringfence.stores.ledger.projection import Projection


def gathered(*groups: list[AnyEvent]) -> Projection:
    projection, first = Projection(), 1
    for group in groups:
        for sequence, event in enumerate(group, first):
            projection.apply(event, sequence, first)
        first += len(group)
    return projection


def test_a_tree_is_found_in_each_of_its_segments_once() -> None:
    one, below = intent("act_1"), intent("act_2", invocation="inv_2", root="inv_1", parent="inv_1")
    projection = gathered([one, below], [intent("act_3", invocation="inv_3")], [outcome(one)])
    assert projection.traces == {("org_a", "inv_1"): [1, 4], ("org_a", "inv_3"): [3]}
    assert (projection.count, projection.through) == (4, 4)


def test_an_intent_that_got_its_outcome_meanwhile_was_never_pending() -> None:
    one, earlier = intent("act_1"), intent("act_0")
    projection = gathered([one, intent("act_2")], [outcome(one), outcome(earlier)])
    assert projection.opened == {("org_a", "act_2"): 2}
    assert projection.closed == [("org_a", "act_0")]


def test_what_belongs_to_no_tree_is_counted_and_leaves_nothing() -> None:
    projection = gathered([change("agent.suspended", "agt_1")])
    assert (projection.count, projection.traces) == (1, {})


def test_a_projection_is_full_when_writing_it_would_take_long() -> None:
    few = gathered([refusal(f"act_{n}") for n in range(600)])
    assert not few.is_full
    many = gathered([refusal(f"act_{n}", invocation=f"inv_{n}") for n in range(1200)])
    assert many.is_full
    assert gathered([refusal(f"act_{n}") for n in range(4096)]).is_full


def test_what_hundreds_of_runs_do_again_and_again_is_gathered_before_it_is_written() -> None:
    actions = [intent(f"act_{n}", invocation=f"inv_{n % 300}") for n in range(1500)]
    assert not gathered([*actions, *map(outcome, actions)]).is_full
