import sys

import pytest
from tests.gateways.world import MemoryLedger, agent, organisation

from ringfence.domain.action import ActionKind
from ringfence.domain.organisation import Configuration
from ringfence.domain.verdict import Ask, Code, Deny, Reason, Refused, Stop, Throttle
from ringfence.enforcement import refusal
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.refusal import (
    CAUSES_OF_SANDBOX,
    CAUSES_PER_MINUTE,
    KEPT_BODY_BYTES,
    Refusals,
    RequestedAction,
    decision_of,
)
from ringfence.enforcement.repeat import REPEAT_WINDOW_US
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.stores.body import Body
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

NO = Reason(code=Code.BUDGET_EXHAUSTED, message="No.", facts=(("left_usd", "0"),))
CALLER = Caller(runtime=AgentRuntime(organisation(), agent()), credential="crd_1")


class Desk:
    """Refusals with what they write and the clock they go by."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.clock = ManualClock()
        directory = Directory()
        directory.configuration = Configuration(organisations={}, digest="sha256:1", epoch=3)
        self.refusals = Refusals(
            ledger=self.ledger, directory=directory, clock=self.clock, ids=SequentialIds()
        )

    def refuse(self, resource: str = "small", verdict: Refused | None = None) -> str:
        requested = RequestedAction(resource=resource, body=Body(b"{}"))
        return self.refusals.refuse(CALLER, verdict or Deny(reason=NO), requested).action

    @property
    def counts(self) -> list[tuple[str, int]]:
        return [(each.resource, each.repeats) for each in self.ledger.refusals]


def test_the_first_is_written_at_once_with_what_was_asked() -> None:
    desk = Desk()
    action = desk.refuse()
    [event] = desk.ledger.refusals
    assert (event.action, event.epoch, event.repeats) == (action, 3, 0)
    assert event.decision.facts == {"left_usd": "0"}
    assert desk.ledger.bodies == {f"Refusal {action}": b"{}"}


def test_repeats_are_counted_and_written_when_they_stop() -> None:
    desk = Desk()
    first = desk.refuse()
    for _ in range(9):
        desk.clock.advance(REPEAT_WINDOW_US - 1)
        assert desk.refuse() == first
    desk.refusals.flush()
    assert desk.counts == [("small", 0)]
    desk.clock.advance(REPEAT_WINDOW_US)
    desk.refusals.flush()
    assert desk.counts == [("small", 0), ("small", 9)]
    assert desk.ledger.refusals[1].first_action == first
    assert desk.refuse() != first


def test_causes_are_counted_apart() -> None:
    desk = Desk()
    for _ in range(3):
        desk.refuse("a")
        desk.refuse("b")
        desk.refuse("a", Stop(reason=Reason(code=Code.INVOCATION_CLOSED, message="Over.")))
    desk.refusals.flush(everything=True)
    assert desk.counts == [("a", 0), ("b", 0), ("a", 0), ("a", 2), ("b", 2), ("a", 2)]


def test_a_count_that_is_over_is_written_before_the_next_begins() -> None:
    desk = Desk()
    desk.refuse()
    desk.refuse()
    desk.clock.advance(REPEAT_WINDOW_US)
    desk.refuse()
    assert desk.counts == [("small", 0), ("small", 1), ("small", 0)]


def test_what_is_counted_at_once_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal, "REMEMBERED_MAX", 2)
    desk = Desk()
    desk.refuse("a")
    desk.refuse("a")
    for resource in ("b", "c", "d"):
        desk.refuse(resource)
    assert desk.counts == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("d", 0)]


def test_a_long_refused_body_is_kept_in_part_and_let_go() -> None:
    desk = Desk()
    body = Body(b"x" * (KEPT_BODY_BYTES + 1), ((0, 5),))
    held = sys.getrefcount(body)
    desk.refusals.refuse(CALLER, Deny(reason=NO), RequestedAction(resource="small", body=body))
    assert sys.getrefcount(body) == held, "what counts repeats holds the body"
    assert [len(each) for each in desk.ledger.bodies.values()] == [KEPT_BODY_BYTES]


def test_names_that_a_client_makes_up_are_counted_together() -> None:
    desk = Desk()
    actions = [desk.refuse(f"made-up-{number}") for number in range(10 * CAUSES_PER_MINUTE)]
    assert len(set(actions)) == CAUSES_PER_MINUTE + 1
    assert len(desk.ledger.refusals) == CAUSES_PER_MINUTE + 1
    assert len(desk.ledger.bodies) == CAUSES_PER_MINUTE
    assert desk.refuse("made-up-0") == actions[0], "what is counted already is still told apart"
    desk.refusals.flush(everything=True)
    assert desk.counts[-1] == ("others", 9 * CAUSES_PER_MINUTE - 1)
    desk.clock.advance(60_000_000)
    desk.refuse("made-up-0")
    assert desk.counts[-1] == ("made-up-0", 0)


def test_more_of_what_a_sandbox_tries_is_told_apart() -> None:
    desk = Desk()
    for number in range(CAUSES_OF_SANDBOX + 5):
        requested = RequestedAction(resource=f"way-{number}", sandbox="sbx_1")
        desk.refusals.refuse(CALLER, Deny(reason=NO), requested)
    assert len(desk.ledger.refusals) == CAUSES_OF_SANDBOX + 1
    assert desk.ledger.refusals[-1].resource == "others"
    assert desk.ledger.refusals[-1].sandbox == "sbx_1"


def test_what_a_sandbox_sends_that_cannot_be_read_is_told_apart_by_its_reason() -> None:
    desk = Desk()
    for words in ("two lengths", "a bare line feed", "two lengths"):
        why = Reason(code=Code.REQUEST_MALFORMED, message=words)
        desk.refusals.refuse(
            CALLER, Deny(reason=why), RequestedAction(resource="?", sandbox="sbx_1")
        )
    told = [each.decision.message for each in desk.ledger.refusals]
    assert told == ["two lengths", "a bare line feed"]


def test_a_sandbox_hides_no_refusal_behind_many_of_another_kind() -> None:
    desk = Desk()
    for number in range(2 * CAUSES_OF_SANDBOX):
        requested = RequestedAction(
            kind=ActionKind.HTTP_REQUEST, resource=f"way-{number}", sandbox="sbx_1"
        )
        desk.refusals.refuse(CALLER, Deny(reason=NO), requested)
    desk.refusals.refuse(
        CALLER, Deny(reason=NO), RequestedAction(resource="stolen", sandbox="sbx_1")
    )
    assert desk.ledger.refusals[-1].resource == "stolen"


@pytest.mark.parametrize(
    ("verdict", "name"),
    [
        (Deny(reason=NO), "deny"),
        (Stop(reason=NO), "stop"),
        (Ask(reason=NO), "ask"),
        (Throttle(reason=NO, retry_after_s=1.5), "throttle"),
    ],
)
def test_an_event_states_the_verdict(verdict: Refused, name: str) -> None:
    stated = decision_of(verdict)
    assert (stated.verdict, stated.code) == (name, "budget_exhausted")
    assert stated.facts.get("retry_after_s") == ("1.5" if name == "throttle" else None)
