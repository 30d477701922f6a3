import sqlite3

import pytest

from ringfence.stores.bulk import Bulk


@pytest.mark.parametrize("count", [0, 1, 16, 17, 33, 64, 100, 261])
def test_every_row_is_written_once_and_in_order(count: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE pairs (one INTEGER, other TEXT)")
    values: list[object] = [value for n in range(count) for value in (n, str(n))]
    Bulk("INSERT INTO pairs VALUES", 2).run(connection, values)
    rows = connection.execute("SELECT * FROM pairs ORDER BY rowid").fetchall()
    assert rows == [(n, str(n)) for n in range(count)]
    connection.close()


def test_few_texts_serve_any_number_of_rows() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE numbers (one INTEGER)")
    texts: set[str] = set()
    connection.set_trace_callback(lambda text: texts.add(text.split("(")[0] + str(text.count("("))))
    insert = Bulk("INSERT INTO numbers VALUES", 1)
    for count in range(130):
        insert.run(connection, list(range(count)))
    assert len(texts) == 18
    connection.close()
