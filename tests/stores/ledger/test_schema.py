import sqlite3

# The record itself belongs to the log, not to one organisation: a place in it is no id of theirs.
OF_THE_LOG = {"log", "segments"}


def test_every_key_begins_with_the_organisation(log: sqlite3.Connection) -> None:
    tables = log.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    names = {name for (name,) in tables} - OF_THE_LOG
    assert names == {"traces", "pending", "accounts", "invocations"}
    for name in names:
        indexes = log.execute(f"PRAGMA index_list({name})").fetchall()
        assert indexes
        for _, index, *_ in indexes:
            columns = log.execute(f"PRAGMA index_info({index})").fetchall()
            assert columns[0][2] == "organisation"
