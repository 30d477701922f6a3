"""What erasing must do on every place is told in `tests/conformance/test_body.py`."""

from tests.postgresql import server
from tests.stores.body.keeping import keep, messages

from ringfence.stores.body import Body, BodyStore
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.body import PostgresShelves, open_bodies
from ringfence.stores.postgresql.body_erasure import erase
from ringfence.stores.postgresql.body_search import BodySearch
from ringfence.stores.postgresql.connection import Connection, connect
from ringfence.stores.postgresql.migration import migrate, versions
from ringfence.stores.postgresql.schema import STORES


def test_salt_pieces_and_words_leave_no_row(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    store = BodyStore.open(PostgresShelves(address))
    keep(store, "act_1", Body(b'{"content":"Jane Roe"}'))
    keep(store, "act_2", Body(messages(1)[0]))
    store.close()
    assert BodySearch(address).actions("org_a", "Jane", limit=5) == ["act_1"]
    with open_bodies(address) as connection:
        assert erase(connection, "org_a", ["act_1"]) == 1
    counts = [
        server.execute(postgresql_url, f"SELECT count(*) FROM {table}")  # noqa: S608 (constants)
        for table in ("bodies", "body_chunks", "body_words")
    ]
    assert counts == [[(1,)], [(1,)], [(1,)]]


def test_erasing_reads_no_whole_table_however_much_is_stored(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    store = BodyStore.open(PostgresShelves(address))
    keep(store, "act_1", Body(b"[first,last]", ((1, 6), (7, 11))))
    store.close()
    with open_bodies(address) as connection:
        for statement in (
            """INSERT INTO body_chunks SELECT 'org_a', n, n::text::bytea, n, false, ''
                FROM generate_series(1000, 21000) AS n""",
            """INSERT INTO body_nodes SELECT 'org_a', n, n - 1, n
                FROM generate_series(1000, 21000) AS n""",
            """INSERT INTO bodies SELECT 'org_a', n, n::text, 1, '', n, 0, n
                FROM generate_series(1000, 21000) AS n""",
            "ANALYZE body_chunks, body_nodes, bodies",
        ):
            connection.execute(statement.encode())
        before = rows_read(connection)
        assert erase(connection, "org_a", ["act_1"]) == 1
        assert rows_read(connection) - before < 100


def rows_read(connection: Connection) -> int:
    """How many rows were read of the tables of bodies by going through a whole one."""
    connection.execute(b"SELECT pg_stat_force_next_flush()")
    (count,) = connection.execute(
        b"""SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables
        WHERE schemaname = current_schema()
            AND relname IN ('bodies', 'body_nodes', 'body_chunks')"""
    ).fetchone() or (0,)
    return int(count)


def test_an_older_database_gets_its_indexes_and_keeps_its_bodies(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    older = {**STORES, "bodies": STORES["bodies"][:1]}
    with connect(address) as connection:
        migrate(connection, older)
        connection.execute(
            b"INSERT INTO bodies VALUES ('org_a', 1, 'act_1', 1, '', 1, 0, 0)",
        )
        assert indexes(connection) == set()
    with open_bodies(address) as connection:
        assert versions(connection)["bodies"] == 2
        assert indexes(connection) == {"bodies_envelope", "bodies_node", "body_nodes_chunk"}
        assert erase(connection, "org_a", ["act_1"]) == 1


def indexes(connection: Connection) -> set[str]:
    """Those that are no key."""
    found = connection.execute(
        b"""SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
        AND tablename IN ('bodies', 'body_nodes', 'body_chunks') AND indexdef NOT LIKE '%UNIQUE%'"""
    ).fetchall()
    return {name for (name,) in found}


def test_many_actions_go_in_several_transactions(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    store = BodyStore.open(PostgresShelves(address))
    for number in range(450):
        keep(store, f"act_{number}", Body(b"body %d" % number))
    store.close()
    with open_bodies(address) as connection:
        assert erase(connection, "org_a", [f"act_{number}" for number in range(450)]) == 450
    assert server.execute(postgresql_url, "SELECT id FROM body_chunks") == []
