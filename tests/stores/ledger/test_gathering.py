from tests.stores.ledger.event import intent, refusal

from ringfence.domain.event import AnyEvent
from ringfence.stores.ledger.draft import Draft, Drafter
from ringfence.stores.ledger.gathering import Gathering


def drafted(events: list[AnyEvent], first: int) -> Draft:
    return Drafter("log_1", [], None).draft([(event, None) for event in events], first)


def test_what_was_added_is_given_out_once_and_in_order() -> None:
    gathering = Gathering()
    gathering.add(drafted([intent("act_1"), intent("act_2")], 1))
    gathering.close()
    gathering.add(drafted([refusal("act_3")], 3))
    gathering.close()
    assert gathering.waiting == 2
    assert (gathering.next().count, gathering.next().through) == (2, 2)
    gathering.written()
    assert gathering.next().traces == {("org_a", "inv_1"): [3]}
    gathering.written()
    gathering.close()
    assert gathering.waiting == 0


def test_a_full_projection_makes_room_for_another() -> None:
    gathering = Gathering()
    for group in range(50):
        events: list[AnyEvent] = [
            refusal(f"act_{group}_{n}", invocation=f"inv_{group}_{n}") for n in range(100)
        ]
        gathering.add(drafted(events, group * 100 + 1))
    assert gathering.waiting == 0
    gathering.apply()
    assert gathering.waiting > 1
