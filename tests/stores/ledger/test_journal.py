from pathlib import Path

import pytest
from tests.stores.ledger.event import intent, outcome, refusal
from tests.stores.ledger.writing import in_log

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.domain.event import AnyEvent
from ringfence.stores.ledger.journal import FOLDER, Entry, Journal, merge
from ringfence.stores.ledger.recovery import complete
from ringfence.stores.ledger.sqlite_logs import SqliteLogs


def merged(folder: Path, journal: Journal) -> int:
    logs = SqliteLogs(folder)
    held = logs.take("log_1")
    try:
        return merge(journal, held, logs)
    finally:
        held.release()


def kept(folder: Path, *events: AnyEvent, after: int = 1) -> Journal:
    journal = Journal(folder, "log_1")
    journal.add([Entry(after, event) for event in events])
    return journal


def test_what_was_kept_is_there_for_the_next_process(tmp_path: Path) -> None:
    one = intent("act_1")
    kept(tmp_path, one, outcome(one), after=7).close()
    again = Journal(tmp_path, "log_1")
    assert again.read() == [Entry(7, one), Entry(7, outcome(one))]
    again.clear()
    assert again.read() == []
    again.close()
    assert Journal(tmp_path, "log_2").read() == []


def test_a_journal_is_merged_once(tmp_path: Path) -> None:
    one, two = intent("act_1"), intent("act_2")
    journal = kept(tmp_path, one, outcome(one), two)
    assert merged(tmp_path, journal) == 3
    assert in_log(tmp_path) == [("Intent", "act_1"), ("Intent", "act_2"), ("Outcome", "act_1")]
    assert merged(tmp_path, journal) == 0
    journal.close()


def test_what_the_log_has_already_is_not_written_twice(tmp_path: Path) -> None:
    """A crash may come when the log was written and the journal not yet cleared."""
    one, two, three = intent("act_1"), intent("act_2"), intent("act_3")
    assert merged(tmp_path, kept(tmp_path, one, outcome(one), two)) == 3
    journal = kept(tmp_path, one, outcome(one), two, three, outcome(two))
    assert merged(tmp_path, journal) == 2
    assert sorted(in_log(tmp_path)) == [
        ("Intent", "act_1"),
        ("Intent", "act_2"),
        ("Intent", "act_3"),
        ("Outcome", "act_1"),
        ("Outcome", "act_2"),
    ]
    journal.close()


def test_recovery_merges_before_it_looks_for_missing_outcomes(tmp_path: Path) -> None:
    one, two = intent("act_1"), intent("act_2")
    journal = kept(tmp_path, one, two, outcome(two))
    logs = SqliteLogs(tmp_path)
    held = logs.take("log_1")
    assert complete(held, logs, 9, journal) == ["act_1"]
    assert complete(held, logs, 9, journal) == []
    held.release()
    assert sorted(in_log(tmp_path)) == [
        ("Intent", "act_1"),
        ("Intent", "act_2"),
        ("Outcome", "act_1"),
        ("Outcome", "act_2"),
    ]


def test_other_events_are_not_for_a_journal_and_are_left_out(tmp_path: Path) -> None:
    journal = kept(tmp_path, refusal("ref_1"), outcome(intent("act_1")))
    assert merged(tmp_path, journal) == 0
    journal.close()


def test_a_journal_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_bytes(b"")
    with pytest.raises((UnavailableError, UsageError, OSError)):
        kept(tmp_path, intent("act_1"))
