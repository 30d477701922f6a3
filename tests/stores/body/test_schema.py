import sqlite3
from pathlib import Path

from ringfence.stores.body.schema import BODIES, shelf_path
from ringfence.stores.database import open_writable


def test_every_file_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys: set[bytes] = set()
    for organisation in ("org_a", "org_b"):
        connection: sqlite3.Connection = open_writable(shelf_path(tmp_path, organisation), BODIES)
        ((key,),) = connection.execute("SELECT key FROM keys").fetchall()
        keys.add(key)
        connection.close()
    assert len(keys) == 2
    assert {len(key) for key in keys} == {32}
