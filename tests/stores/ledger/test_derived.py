import random
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stores.ledger.event import START_US, change, intent, outcome, refusal
from tests.stores.ledger.writing import derived, write

from ringfence.domain.event import AnyEvent, Intent
from ringfence.stores.ledger.derived import rebuild
from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.invocation import select
from ringfence.stores.ledger.log import open_log


def spent(log: sqlite3.Connection, holder: str) -> list[int]:
    rows = log.execute("SELECT spent_nano FROM accounts WHERE holder = ?", (holder,))
    return [nano for (nano,) in rows]


def test_an_outcome_charges_each_of_its_accounts(log: sqlite3.Connection) -> None:
    first, second = intent("act_1"), intent("act_2")
    write(log, [[first, second, outcome(first, cost=30)], [outcome(second, cost=5)]])
    assert spent(log, "agt_1") == [35]
    assert spent(log, "inv_1") == [35]


def test_money_beyond_the_integers_of_json_is_exact(log: sqlite3.Connection) -> None:
    one = intent("act_1")
    write(log, [[one], [outcome(one, cost=2**62)]])
    assert spent(log, "agt_1") == [2**62]


def test_an_intent_is_pending_until_its_outcome(log: sqlite3.Connection) -> None:
    one, two, three = intent("act_1"), intent("act_2"), intent("act_3", organisation="org_b")
    write(log, [[one, two], [three, outcome(two)]])
    assert derived(log)["pending"] == [("org_a", "act_1", 1), ("org_b", "act_3", 3)]
    write(log, [[outcome(one), outcome(three)]])
    assert derived(log)["pending"] == []


def test_closing_pending_intents_does_not_scan_them(log: sqlite3.Connection) -> None:
    plans: list[str] = []

    def explain(statement: str) -> None:
        if statement.startswith("DELETE FROM pending"):
            plans.append(statement)

    log.set_trace_callback(explain)
    one = intent("act_1")
    write(log, [[one], [outcome(one)]])
    log.set_trace_callback(None)
    (statement,) = plans
    plan = [row[3] for row in log.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert plan[0].startswith("SEARCH pending USING PRIMARY KEY")


def test_organisations_with_the_same_ids_are_kept_apart(log: sqlite3.Connection) -> None:
    one, other = intent("act_1"), intent("act_1", organisation="org_b")
    write(log, [[one, other], [outcome(one, cost=1), outcome(other, cost=2)]])
    assert spent(log, "agt_1") == [1, 2]
    assert [record.cost for record in select(log, "id = 'inv_1' ORDER BY organisation")] == [1, 2]


def a_history(seed: int) -> list[list[AnyEvent]]:
    """Groups of events of some length in which anything may follow anything."""
    dice = random.Random(seed)  # noqa: S311 (a test's dice)
    waiting: list[Intent] = []
    groups: list[list[AnyEvent]] = []
    for number in range(dice.randrange(1, 12)):
        group: list[AnyEvent] = []
        for n in range(dice.randrange(1, 6)):
            organisation = dice.choice(["org_a", "org_b"])
            name, time_us = f"inv_{dice.randrange(4)}", START_US + number
            match dice.randrange(6):
                case 0:
                    group.append(refusal(f"r{number}.{n}", invocation=name, time_us=time_us))
                case 1:
                    what = dice.choice(["opened", "finished", "stopped", "renamed"])
                    group.append(change(f"invocation.{what}", name, organisation=organisation))
                case 2:
                    group.append(change("agent.suspended", "agt_1", organisation=organisation))
                case 3 if waiting:
                    done = waiting.pop(dice.randrange(len(waiting)))
                    group.append(outcome(done, cost=dice.randrange(100), time_us=time_us))
                case _:
                    one = intent(
                        f"a{number}.{n}", organisation=organisation, invocation=name,
                        time_us=time_us,
                    )  # fmt: skip
                    waiting.append(one)
                    group.append(one)
        groups.append(group)
    return groups


@given(seed=st.integers(0, 10**9), every=st.integers(1, 20))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rebuilding_gives_exactly_what_was_kept(
    tmp_path_factory: pytest.TempPathFactory, seed: int, every: int
) -> None:
    fence = Fence.take(tmp_path_factory.mktemp("log"), "log_1")
    log = open_log(fence)
    try:
        write(log, a_history(seed))
        kept = derived(log)
        log.execute("UPDATE accounts SET spent_nano = 1")
        log.execute("DELETE FROM invocations")
        rebuild(log, every=every)
        assert derived(log) == kept
    finally:
        log.close()
        fence.release()
