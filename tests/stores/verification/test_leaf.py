from tests.stores.ledger.event import change, intent, outcome

from ringfence.protocols import canonical
from ringfence.stores.body import Part
from ringfence.stores.verification.leaf import describe, read_head


def test_a_leaf_is_described_by_its_kind_and_what_it_is_about() -> None:
    one = intent("act_1")
    one.sequence = 7
    assert describe(canonical.encode(one)) == ("intent act_1", 7)
    assert describe(canonical.encode(change("agent.suspended", "agt_1"))) == ("change agt_1", 0)
    assert describe(b"{") == ("", 0)
    assert describe(b"\xff") == ("", 0)


def test_only_an_outcome_has_a_response() -> None:
    one = intent("act_1")
    assert read_head(canonical.encode(one)).part is Part.REQUEST
    assert read_head(canonical.encode(outcome(one))).part is Part.RESPONSE
