import sqlite3

import pytest
from tests.stores.ledger.event import START_US, change, intent, observation, outcome, refusal
from tests.stores.ledger.writing import write

from ringfence.domain.invocation import Grouping, Invocation, InvocationState
from ringfence.stores.ledger.invocation import InvocationRecord, opening_detail, select


def invocation(log: sqlite3.Connection, name: str) -> InvocationRecord:
    (found,) = select(log, "id = :id", {"id": name})
    return found


def test_an_intent_opens_its_invocation(log: sqlite3.Connection) -> None:
    one = intent("act_1", invocation="inv_2", root="inv_1", parent="inv_1")
    write(log, [[one], [outcome(one, cost=7, time_us=START_US + 9)]])
    found = invocation(log, "inv_2")
    assert found.invocation == Invocation(
        id="inv_2",
        organisation="org_a",
        agent="agt_1",
        root="inv_1",
        parent="inv_1",
        depth=1,
        credential="crd_1",
        opened_us=START_US,
        grouping=Grouping.HEADER,
        external_id="run-7",
    )
    assert (found.steps, found.cost, found.refusals) == (1, 7, 0)
    assert found.last_us == START_US + 9
    assert found.state is InvocationState.OPEN


def test_a_change_opens_an_invocation_with_all_it_says(log: sqlite3.Connection) -> None:
    opened = Invocation(
        id="inv_1",
        organisation="org_a",
        agent="agt_9",
        root="inv_1",
        parent=None,
        depth=0,
        credential="crd_9",
        opened_us=START_US,
        grouping=Grouping.TOKEN,
        task="sort",
        deadline_us=START_US + 60,
    )
    detail = opening_detail(opened, token_digest=b"d" * 32, narrowing='{"models":["a"]}')
    detail["task"] = "sort"  # as earlier releases wrote it
    write(log, [[change("invocation.opened", "inv_1", detail=detail)], [intent("act_1")]])
    found = invocation(log, "inv_1")
    assert found.invocation == opened
    assert (found.token_digest, found.narrowing) == (b"d" * 32, '{"models":["a"]}')
    assert found.steps == 1


def test_an_invocation_that_begins_with_a_refusal_is_identified_later(
    log: sqlite3.Connection,
) -> None:
    write(log, [[refusal("act_1")]])
    assert not invocation(log, "inv_1").is_identified
    write(log, [[intent("act_2")]])
    found = invocation(log, "inv_1")
    assert found.is_identified
    assert found.invocation.grouping is Grouping.HEADER
    assert (found.refusals, found.steps) == (1, 1)


def test_repeated_refusals_are_counted_as_often_as_they_came(log: sqlite3.Connection) -> None:
    write(log, [[refusal("act_1")], [refusal("act_9", repeats=41)]])
    assert invocation(log, "inv_1").refusals == 42


@pytest.mark.parametrize("state", ["finished", "stopped", "expired"])
def test_a_change_ends_an_invocation(log: sqlite3.Connection, state: str) -> None:
    write(log, [[intent("act_1"), intent("act_2", invocation="inv_2")]])
    write(log, [[change(f"invocation.{state}", "inv_1", time_us=START_US + 5)]])
    assert invocation(log, "inv_1").state is InvocationState(state)
    assert invocation(log, "inv_1").last_us == START_US + 5
    assert invocation(log, "inv_2").state is InvocationState.OPEN


def test_what_is_seen_of_a_sandbox_is_activity_and_neither_step_nor_refusal(
    log: sqlite3.Connection,
) -> None:
    write(log, [[intent("act_1")], [observation("act_2", time_us=START_US + 50)]])
    found = invocation(log, "inv_1")
    assert (found.steps, found.refusals, found.last_us) == (1, 0, START_US + 50)
