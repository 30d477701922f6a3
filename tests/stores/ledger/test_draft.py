from pathlib import Path

from tests.stores.ledger.event import START_US, change, intent, observation, outcome, refusal

from ringfence.stores.body import Body, BodyReader, BodyStore, Part
from ringfence.stores.ledger.draft import Drafter
from ringfence.stores.ledger.format import decode


def test_a_draft_that_was_not_written_can_be_drafted_again() -> None:
    drafter = Drafter("log_1", [("org_a", "act_1")], None)
    done = outcome(intent("act_1"))
    first = drafter.draft([(done, None)], 5)
    drafter.undo(first)
    again = drafter.draft([(done, None)], 5)
    assert again.batch.data == first.batch.data
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
    assert (draft.batch.low_us, draft.batch.high_us) == (START_US, START_US + 9)


def test_what_is_said_with_a_change_is_stored_under_what_it_changes(tmp_path: Path) -> None:
    bodies = BodyStore.open(tmp_path)
    drafter = Drafter("log_1", [], bodies)
    opened = change("invocation.opened", "inv_1")
    draft = drafter.draft([(opened, Body(b"call jane"))], 1)
    drafter.keep(draft)
    bodies.close()
    reader = BodyReader(tmp_path)
    assert reader.holds("org_a", "inv_1", Part.REQUEST, opened.body)
    assert reader.get("org_a", "inv_1", Part.REQUEST) == b"call jane"
    reader.close()
    assert b"jane" not in draft.batch.data


def test_without_a_body_store_a_body_leaves_only_its_size() -> None:
    drafter = Drafter("log_1", [], None)
    one = intent("act_1")
    drafter.draft([(one, Body(b"four"))], 1)
    assert (one.body, one.body_bytes) == ("", 4)


def test_an_event_without_a_canonical_form_is_left_out_and_harms_no_other() -> None:
    drafter = Drafter("log_1", [], None)
    bad = intent("act_2", client="\ud800")
    draft = drafter.draft([(intent("act_1"), None), (bad, None), (intent("act_3"), None)], 1)
    assert [event for event, _ in draft.refused] == [bad]
    assert [decode(leaf) for leaf in draft.batch.leaves] == draft.events
    assert [event.sequence for event in draft.events] == [1, 2]
    drafter.keep(draft)
    again = drafter.draft([(intent("act_2"), None), (outcome(bad), None)], 3)
    assert [error.message for _, error in again.refused] == [
        "this outcome cannot be written: no intent waits for it"
    ]


def test_an_outcome_without_a_canonical_form_leaves_its_intent_open() -> None:
    drafter = Drafter("log_1", [("org_a", "act_1")], None)
    bad = outcome(intent("act_1"))
    bad.error = "\ud800"
    assert len(drafter.draft([(bad, None)], 1).refused) == 1
    assert drafter.draft([(outcome(intent("act_1")), None)], 1).refused == []


def test_one_group_holds_an_intent_once() -> None:
    drafter = Drafter("log_1", [], None)
    draft = drafter.draft([(intent("act_1"), None), (intent("act_1"), None)], 1)
    assert (len(draft.events), len(draft.refused)) == (1, 1)


def test_the_room_of_a_body_is_given_back_with_its_event(tmp_path: Path) -> None:
    bodies = BodyStore.open(tmp_path, limit_bytes=10)
    drafter = Drafter("log_1", [], bodies)
    drafter.draft([(intent("act_1", client="\ud800"), Body(b"ten bytes!"))], 1)
    drafter.undo(drafter.draft([(intent("act_2"), Body(b"ten bytes!"))], 1))
    one = intent("act_3")
    drafter.keep(drafter.draft([(one, Body(b"ten bytes!"))], 1))
    bodies.close()
    assert one.body
    assert bodies.not_stored == 0


def test_a_body_of_what_was_seen_is_committed_to_like_any_other(tmp_path: Path) -> None:
    bodies = BodyStore.open(tmp_path)
    try:
        drafter = Drafter("log_1", [], bodies)
        seen = observation("act_1")
        drafter.keep(drafter.draft([(seen, Body(b"$ make\n"))], 1))
        assert seen.body
        assert seen.body_bytes == 7
    finally:
        bodies.close()
