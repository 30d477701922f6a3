from tests.stores.ledger.event import START_US, change, intent, outcome, refusal

from ringfence.stores.body import Body
from ringfence.stores.ledger.draft import Drafter


def test_a_draft_that_was_not_written_can_be_drafted_again() -> None:
    drafter = Drafter("log_1", [("org_a", "act_1")], None)
    done = outcome(intent("act_1"))
    first = drafter.draft([(done, None)], 5)
    drafter.undo(first)
    again = drafter.draft([(done, None)], 5)
    assert again.leaves == first.leaves
    assert again.refused == []


def test_an_intent_waits_for_its_outcome_only_once_it_is_durable() -> None:
    drafter = Drafter("log_1", [], None)
    one = intent("act_1")
    undone = drafter.draft([(one, None)], 1)
    drafter.undo(undone)
    assert len(drafter.draft([(outcome(one), None)], 1).refused) == 1
    drafter.keep(drafter.draft([(one, None)], 1))
    assert drafter.draft([(outcome(one), None)], 2).refused == []


def test_refused_events_leave_no_gap() -> None:
    drafter = Drafter("log_1", [], None)
    draft = drafter.draft(
        [(refusal("act_1"), None), (outcome(intent("act_2")), None), (refusal("act_3"), None)], 8
    )
    assert [event.sequence for event in draft.events] == [8, 9]
    ((refused, error),) = draft.refused
    assert getattr(refused, "action", "") == "act_2"
    assert error.message == "this outcome cannot be written: no intent waits for it"


def test_a_draft_spans_the_times_of_its_events() -> None:
    drafter = Drafter("log_1", [], None)
    times = [START_US + 5, START_US, START_US + 9]
    draft = drafter.draft([(refusal(f"act_{t}", time_us=t), None) for t in times], 1)
    assert (draft.low_us, draft.high_us) == (START_US, START_US + 9)


def test_a_change_takes_no_body() -> None:
    drafter = Drafter("log_1", [], None)
    draft = drafter.draft([(change("agent.suspended", "agt_1"), Body(b"x"))], 1)
    assert len(draft.refused) == 1


def test_without_a_body_store_a_body_leaves_only_its_size() -> None:
    drafter = Drafter("log_1", [], None)
    one = intent("act_1")
    drafter.draft([(one, Body(b"four"))], 1)
    assert (one.body, one.body_bytes) == ("", 4)
