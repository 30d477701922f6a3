import sqlite3
from pathlib import Path

from tests.stores.ledger.event import change, intent, outcome
from tests.stores.ledger.writing import write

from ringfence.decisions.limit import model_calls_key
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.event import AccountLine
from ringfence.domain.lease import Charged
from ringfence.stores.ledger.charged import Totals, charged_since, totals
from ringfence.stores.ledger.fence import log_path
from ringfence.stores.ledger.sqlite_rows import SqliteRows


def read(folder: Path) -> Totals:
    rows = SqliteRows.open("log_1", log_path(folder, "log_1"))
    try:
        return totals(rows, 0)
    finally:
        rows.close()


def test_what_one_life_of_a_worker_charged_is_the_difference_of_two_readings(
    log: sqlite3.Connection, tmp_path: Path
) -> None:
    one, two, three = intent("act_1"), intent("act_2"), intent("act_3", invocation="inv_2")
    write(log, [[one, outcome(one, cost=5)]])
    before = read(tmp_path)
    write(log, [[two, three, outcome(two, cost=7)], [outcome(three, cost=11)]])
    after = read(tmp_path)
    charged = {
        (each.key.holder, each.key.unit.value): each.amount for each in charged_since(before, after)
    }
    assert charged["agt_1", "money"] == 18
    assert charged["inv_1", "money"] == 7
    assert charged["inv_2", "money"] == 11
    assert charged["inv_1", "model_calls"] == 1
    assert charged["inv_2", "model_calls"] == 1
    assert charged_since(after, after) == ()


def test_calls_of_sub_agents_are_charged_to_their_tree(
    log: sqlite3.Connection, tmp_path: Path
) -> None:
    one = intent("act_1", invocation="inv_2", root="inv_1")
    write(log, [[one, outcome(one, cost=5)], [change("agent.suspended", "agt_1")]])
    [calls] = [each for each in charged_since({}, read(tmp_path)) if each.key.unit != "money"]
    assert calls == Charged(model_calls_key("org_a", "inv_1"), 0, 1)


def test_what_sub_agents_spend_is_charged_to_a_tree_whose_root_never_acted_here(
    log: sqlite3.Connection, tmp_path: Path
) -> None:
    one = intent("act_1", invocation="inv_2", root="inv_1")
    one.accounts = [AccountLine("tree", "inv_1", "tree", "0", "1000", "900")]
    write(log, [[one, outcome(one, cost=5)]])
    tree = AccountKey("org_a", BudgetScope.TREE, "inv_1", Per.TREE)
    assert read(tmp_path)[tree, 0] == 5
