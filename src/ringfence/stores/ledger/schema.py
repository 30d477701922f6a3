"""The tables of one log: its segments, which are the record, and what is derived from them."""

from typing import Final

from ringfence.stores.database import Blueprint

_FIRST: Final = (
    # One row: which log this is, and up to which sequence the derived tables are complete.
    """CREATE TABLE log (
        id TEXT PRIMARY KEY,
        projected INTEGER NOT NULL
    )""",
    # The record. One row for each group commit; `leaves` is a zstd frame of canonical JSON leaves
    # joined by line feeds. `high_us` is the highest event time up to here, so it never falls.
    """CREATE TABLE segments (
        first INTEGER PRIMARY KEY,
        count INTEGER NOT NULL,
        low_us INTEGER NOT NULL,
        high_us INTEGER NOT NULL,
        leaves BLOB NOT NULL
    )""",
    # Everything below can be rebuilt from the segments. In which segments a tree's events stand:
    # `segments` is a JSON array of their first sequences, `first` the first of them.
    """CREATE TABLE traces (
        organisation TEXT NOT NULL,
        root TEXT NOT NULL,
        first INTEGER NOT NULL,
        segments TEXT NOT NULL,
        PRIMARY KEY (organisation, root, first)
    ) WITHOUT ROWID""",
    # Intents without outcome.
    """CREATE TABLE pending (
        organisation TEXT NOT NULL,
        action TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        PRIMARY KEY (organisation, action)
    ) WITHOUT ROWID""",
    """CREATE TABLE accounts (
        organisation TEXT NOT NULL,
        scope TEXT NOT NULL,
        holder TEXT NOT NULL,
        per TEXT NOT NULL,
        window_us INTEGER NOT NULL,
        spent_nano INTEGER NOT NULL,
        PRIMARY KEY (organisation, scope, holder, per, window_us)
    ) WITHOUT ROWID""",
    """CREATE TABLE invocations (
        organisation TEXT NOT NULL,
        id TEXT NOT NULL,
        root TEXT NOT NULL,
        agent TEXT NOT NULL,
        parent TEXT,
        depth INTEGER NOT NULL DEFAULT 0,
        grouping TEXT NOT NULL DEFAULT '',
        external_id TEXT,
        credential TEXT NOT NULL DEFAULT '',
        opened_us INTEGER NOT NULL,
        last_us INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'open',
        steps INTEGER NOT NULL DEFAULT 0,
        cost_nano INTEGER NOT NULL DEFAULT 0,
        refusals INTEGER NOT NULL DEFAULT 0,
        deadline_us INTEGER,
        token_digest BLOB,
        narrowing TEXT NOT NULL DEFAULT '',
        task TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (organisation, id)
    ) WITHOUT ROWID""",
    "CREATE INDEX invocations_open ON invocations (organisation, id) WHERE state = 'open'",
)

LEDGER: Final = Blueprint(noun="ledger", steps=(_FIRST,), synchronous="FULL")
