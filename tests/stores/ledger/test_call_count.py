import sqlite3
from pathlib import Path

import msgspec
from tests.stores.ledger.event import intent, outcome
from tests.stores.ledger.writing import write

from ringfence.decisions.limit import call_key, model_calls_key, tool_calls_key
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit
from ringfence.domain.event import Intent
from ringfence.stores.ledger import derived
from ringfence.stores.ledger.call_count import places, read
from ringfence.stores.ledger.charged import charged_since, totals
from ringfence.stores.ledger.fence import log_path
from ringfence.stores.ledger.sqlite_rows import SqliteRows


def tool(action: str, name: str = "crm__get_job", invocation: str = "inv_1") -> Intent:
    event = intent(action, invocation=invocation, root="inv_1")
    event.action_kind = "tool.call"
    event.resource = name
    return event


def counted(folder: Path) -> dict[tuple[str, str], int]:
    rows = SqliteRows.open("log_1", log_path(folder, "log_1"))
    try:
        found = charged_since({}, totals(rows, 0))
    finally:
        rows.close()
    return {
        (each.key.unit.value, each.key.part): each.amount
        for each in found
        if each.key.holder == "inv_1" and each.key.unit != "money"
    }


def test_calls_of_tools_and_of_models_are_told_apart(
    log: sqlite3.Connection, tmp_path: Path
) -> None:
    events = [tool("act_1"), tool("act_2", "crm__refund"), intent("act_3"), tool("act_4")]
    write(log, [[each, outcome(each)] for each in events])
    expected = {
        ("tool_calls", ""): 3,
        ("tool_calls", "crm__get_job"): 2,
        ("tool_calls", "crm__refund"): 1,
        ("model_calls", ""): 1,
    }
    assert counted(tmp_path) == expected
    derived.rebuild(log)
    assert counted(tmp_path) == expected


def test_calls_of_sub_agents_count_in_their_tree(log: sqlite3.Connection, tmp_path: Path) -> None:
    write(log, [[tool("act_1", invocation="inv_2")], [tool("act_2")]])
    assert counted(tmp_path)["tool_calls", ""] == 2


def test_commands_and_requests_are_no_model_calls_either(
    log: sqlite3.Connection, tmp_path: Path
) -> None:
    command, request = tool("act_1", "git"), tool("act_2", "api.example.com:443")
    command.action_kind, request.action_kind = "shell.exec", "http.request"
    write(log, [[command], [request], [intent("act_3")], [command_like(command, "act_4")]])
    expected = {
        ("commands", ""): 2,
        ("http_requests", ""): 1,
        ("model_calls", ""): 1,
    }
    assert counted(tmp_path) == expected
    derived.rebuild(log)
    assert counted(tmp_path) == expected


def command_like(event: Intent, action: str) -> Intent:
    return msgspec.structs.replace(event, action=action, sequence=0)


def test_a_call_of_a_model_counts_nowhere_here() -> None:
    assert places(intent("act_1")) == ()


def test_rows_are_read_as_the_accounts_they_are() -> None:
    rows = [
        ("org_a", "agent", "agt_1", "day", 5, 7),
        ("org_a", "tree", "inv_1", "tree/tool_calls", 0, 3),
        ("org_a", "tree", "inv_1", "tree/tool_calls/crm__a/b", 0, 2),
        ("org_a", "tree", "inv_1", "tree/commands", 0, 4),
    ]
    assert list(read(rows)) == [
        (AccountKey("org_a", BudgetScope.AGENT, "agt_1", Per.DAY), 5, 7),
        (tool_calls_key("org_a", "inv_1"), 0, 3),
        (tool_calls_key("org_a", "inv_1", "crm__a/b"), 0, 2),
        (call_key("org_a", "inv_1", Unit.COMMANDS), 0, 4),
        (model_calls_key("org_a", "inv_1"), 0, -7),
    ]
