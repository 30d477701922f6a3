"""The tables of ledger, bodies and limits in PostgreSQL; the state store has its own.

INVARIANT (I7): every primary key and unique index begins with the organisation, except those of
logs with their segments and of planes with what they tell each other, which belong to the
installation as a log's file does.
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

# Who still uses a piece or a chain. A file makes these when something is erased for the first time;
# here that would keep all writers waiting for as long as it takes.
_BODIES_USERS: Final = (
    "CREATE INDEX bodies_envelope ON bodies (organisation, envelope)",
    "CREATE INDEX bodies_node ON bodies (organisation, node)",
    "CREATE INDEX body_nodes_chunk ON body_nodes (organisation, chunk)",
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

_SHARED_FIRST: Final = (
    # What is the same for all planes of the database.
    """CREATE TABLE shared_installation (
        is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
        hash_seed text NOT NULL
    )""",
    # Grows with every change that planes tell each other. INVARIANT: drawn under the lock of the
    # state store and held until the commit, so that who has read one has read all before it.
    "CREATE SEQUENCE shared_numbers",
    # Planes that run, or died and are not recovered yet. `id` is the log that the plane's own
    # process writes, `logs` are those of its workers; `beat` is when it was last heard of, `taken`
    # the last change that all of its workers obey, `batch` the last writing of limits;
    # `keeps_journal` says that it may go on while the database is away.
    """CREATE TABLE shared_planes (
        id text COLLATE "C" PRIMARY KEY,
        logs text[] NOT NULL,
        epoch integer NOT NULL,
        configuration text NOT NULL,
        beat timestamptz NOT NULL,
        taken bigint NOT NULL,
        batch bigint NOT NULL DEFAULT 0,
        keeps_journal boolean NOT NULL DEFAULT false
    )""",
    # What has changed in the state store; whoever reads this reads it there.
    """CREATE TABLE shared_changes (
        number bigint PRIMARY KEY,
        kind text NOT NULL,
        organisation text NOT NULL,
        subject text NOT NULL
    )""",
    # Every open run, and the ended ones until all planes know; `card` is a `registry.Card`.
    """CREATE TABLE shared_runs (
        organisation text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        plane text COLLATE "C" NOT NULL,
        is_open boolean NOT NULL,
        depth integer NOT NULL,
        tips bigint[] NOT NULL,
        card bytea NOT NULL,
        PRIMARY KEY (organisation, id)
    )""",
    "CREATE INDEX shared_runs_number ON shared_runs (number)",
    # Every limit in its window, as `lease.AccountState`. `logs` are those whose writers have or had
    # something of it; after `idle_us` the row means nothing any more.
    """CREATE TABLE shared_limits (
        organisation text COLLATE "C" NOT NULL,
        holder text COLLATE "C" NOT NULL,
        scope text NOT NULL,
        per text NOT NULL,
        unit text NOT NULL,
        part text COLLATE "C" NOT NULL,
        window_us bigint NOT NULL,
        version bigint NOT NULL,
        logs text[] NOT NULL,
        idle_us bigint,
        state jsonb NOT NULL,
        PRIMARY KEY (organisation, holder, scope, per, unit, part, window_us)
    ) WITH (fillfactor = 50)""",
    "CREATE INDEX shared_limits_idle ON shared_limits (idle_us) WHERE idle_us IS NOT NULL",
)

CHANNEL: Final = "'ringfence:' || current_schema()"
"""Where planes of one database wake each other; an expression of SQL."""

_NOTING_FIRST: Final = (
    # The state store's own tables tell of themselves: in the same transaction, whoever writes.
    f"""CREATE FUNCTION shared_note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO shared_changes
            VALUES (nextval('shared_numbers'), TG_ARGV[0], NEW.organisation, NEW.id);
        PERFORM pg_notify({CHANNEL}, '');
        RETURN NULL;
    END $$""",  # noqa: S608 (a constant)
    """CREATE TRIGGER shared_note AFTER INSERT OR UPDATE ON agents
        FOR EACH ROW EXECUTE FUNCTION shared_note('agent')""",
    """CREATE TRIGGER shared_note AFTER INSERT OR UPDATE ON credentials
        FOR EACH ROW EXECUTE FUNCTION shared_note('credential')""",
    """CREATE TRIGGER shared_note AFTER INSERT OR UPDATE ON user_tokens
        FOR EACH ROW EXECUTE FUNCTION shared_note('user_token')""",
    """CREATE TRIGGER shared_note AFTER INSERT ON grants
        FOR EACH ROW EXECUTE FUNCTION shared_note('grant')""",
)

_NOTING_SECRETS: Final = (
    # A row that goes matters as much as one that comes.
    f"""CREATE FUNCTION shared_note_secret() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        changed record := coalesce(NEW, OLD);
    BEGIN
        INSERT INTO shared_changes VALUES (nextval('shared_numbers'), 'secret',
            changed.organisation, changed.space || '/' || changed.name);
        PERFORM pg_notify({CHANNEL}, '');
        RETURN NULL;
    END $$""",  # noqa: S608 (a constant)
    """CREATE TRIGGER shared_note AFTER INSERT OR UPDATE OR DELETE ON stored_secrets
        FOR EACH ROW EXECUTE FUNCTION shared_note_secret()""",
)

NOTING: Final[Mapping[str, Sequence[Step]]] = {"noting": (_NOTING_FIRST, _NOTING_SECRETS)}
"""What is added to the tables of the state store once they are there."""

STORES: Final[Mapping[str, Sequence[Step]]] = {
    "ledger": (_LEDGER_FIRST,),
    "bodies": (_BODIES_FIRST, _BODIES_USERS),
    "holds": (_HOLDS_FIRST,),
    "shared": (_SHARED_FIRST,),
}
"""Every store's steps, by the name that the database knows it under."""
