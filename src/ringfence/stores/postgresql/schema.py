"""The tables of ledger, bodies and budgets in PostgreSQL; the state store has its own.

INVARIANT (I7): every primary key and unique index begins with the organisation, except those of
logs and their segments, which belong to the installation as a log's file does.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from ringfence.stores.migration import Step

_LEDGER_FIRST: Final = (
    # Which logs there are. `fence` grows with each process that takes a log; `projected` is the
    # sequence up to which the derived tables are complete.
    """CREATE TABLE ledger_logs (
        id text COLLATE "C" PRIMARY KEY,
        fence bigint NOT NULL,
        projected bigint NOT NULL
    )""",
    # The record: as in the file of a log (`stores.ledger.schema`). Already compressed.
    """CREATE TABLE ledger_segments (
        log text COLLATE "C" NOT NULL REFERENCES ledger_logs,
        first bigint NOT NULL,
        count integer NOT NULL,
        low_us bigint NOT NULL,
        high_us bigint NOT NULL,
        leaves bytea NOT NULL,
        PRIMARY KEY (log, first)
    )""",
    "ALTER TABLE ledger_segments ALTER COLUMN leaves SET STORAGE EXTERNAL",
    "CREATE INDEX ledger_segments_time ON ledger_segments (log, high_us, first)",
    # Everything below can be rebuilt from the segments.
    """CREATE TABLE ledger_traces (
        organisation text COLLATE "C" NOT NULL,
        root text COLLATE "C" NOT NULL,
        log text COLLATE "C" NOT NULL,
        first bigint NOT NULL,
        segments bigint[] NOT NULL,
        PRIMARY KEY (organisation, root, log, first)
    )""",
    """CREATE TABLE ledger_pending (
        organisation text COLLATE "C" NOT NULL,
        action text COLLATE "C" NOT NULL,
        log text COLLATE "C" NOT NULL,
        sequence bigint NOT NULL,
        PRIMARY KEY (organisation, action, log)
    )""",
    "CREATE INDEX ledger_pending_log ON ledger_pending (log, sequence)",
    """CREATE TABLE ledger_accounts (
        organisation text COLLATE "C" NOT NULL,
        scope text NOT NULL,
        holder text COLLATE "C" NOT NULL,
        per text NOT NULL,
        window_us bigint NOT NULL,
        log text COLLATE "C" NOT NULL,
        spent_nano bigint NOT NULL,
        PRIMARY KEY (organisation, scope, holder, per, window_us, log)
    )""",
    """CREATE TABLE ledger_invocations (
        organisation text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        log text COLLATE "C" NOT NULL,
        root text COLLATE "C" NOT NULL,
        agent text NOT NULL,
        parent text,
        depth integer NOT NULL DEFAULT 0,
        grouping text NOT NULL DEFAULT '',
        external_id text,
        credential text NOT NULL DEFAULT '',
        opened_us bigint NOT NULL,
        last_us bigint NOT NULL,
        state text NOT NULL DEFAULT 'open',
        steps bigint NOT NULL DEFAULT 0,
        cost_nano bigint NOT NULL DEFAULT 0,
        refusals bigint NOT NULL DEFAULT 0,
        deadline_us bigint,
        token_digest bytea,
        narrowing text NOT NULL DEFAULT '',
        task text NOT NULL DEFAULT '',
        PRIMARY KEY (organisation, id, log)
    )""",
    "CREATE INDEX ledger_invocations_open ON ledger_invocations (log) WHERE state = 'open'",
)

_BODIES_FIRST: Final = (
    # One row for each organisation: the key of its addresses, and the numbers not yet given.
    # `erasures` grows when pieces are removed, so that nobody goes on naming them.
    """CREATE TABLE body_shelves (
        organisation text COLLATE "C" PRIMARY KEY,
        key bytea NOT NULL,
        next_chunk bigint NOT NULL DEFAULT 1,
        next_node bigint NOT NULL DEFAULT 1,
        next_body bigint NOT NULL DEFAULT 1,
        erasures bigint NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE body_chunks (
        organisation text COLLATE "C" NOT NULL,
        id bigint NOT NULL,
        address bytea NOT NULL,
        introduced bigint NOT NULL,
        packed boolean NOT NULL,
        data bytea NOT NULL,
        PRIMARY KEY (organisation, id),
        UNIQUE (organisation, address)
    )""",
    "ALTER TABLE body_chunks ALTER COLUMN data SET STORAGE EXTERNAL",
    """CREATE TABLE body_nodes (
        organisation text COLLATE "C" NOT NULL,
        id bigint NOT NULL,
        parent bigint NOT NULL,
        chunk bigint NOT NULL,
        PRIMARY KEY (organisation, id),
        UNIQUE (organisation, parent, chunk)
    )""",
    """CREATE TABLE bodies (
        organisation text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        action text COLLATE "C" NOT NULL,
        part smallint NOT NULL,
        salt bytea NOT NULL,
        envelope bigint NOT NULL,
        head integer NOT NULL,
        node bigint NOT NULL,
        PRIMARY KEY (organisation, number),
        UNIQUE (organisation, action, part)
    )""",
    # Filled when somebody searches; `indexed` is the last chunk that was looked at. Every word
    # carries its organisation.
    """CREATE TABLE body_words (
        organisation text COLLATE "C" NOT NULL,
        chunk bigint NOT NULL,
        piece integer NOT NULL,
        words tsvector NOT NULL,
        PRIMARY KEY (organisation, chunk, piece)
    )""",
    "CREATE INDEX body_words_words ON body_words USING gin (words)",
    """CREATE TABLE body_searches (
        organisation text COLLATE "C" PRIMARY KEY,
        indexed bigint NOT NULL
    )""",
)

_HOLDS_FIRST: Final = (
    """CREATE TABLE legal_holds (
        organisation text COLLATE "C" NOT NULL,
        subject text COLLATE "C" NOT NULL,
        reason text NOT NULL,
        actor text NOT NULL,
        time_us bigint NOT NULL,
        PRIMARY KEY (organisation, subject)
    )""",
)

STORES: Final[Mapping[str, Sequence[Step]]] = {
    "ledger": (_LEDGER_FIRST,),
    "bodies": (_BODIES_FIRST,),
    "holds": (_HOLDS_FIRST,),
}
"""Every store's steps, by the name that the database knows it under."""
