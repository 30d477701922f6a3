"""Keep bodies and look into the file they are kept in."""

import random
import sqlite3
from pathlib import Path

from tests.stores.body.conversation import message

from ringfence.stores.body import Body, BodyStore, Part
from ringfence.stores.body.schema import shelf_path
from ringfence.stores.body.shelf import Entry


def keep(  # noqa: PLR0913 (each test names what it is about)
    store: BodyStore,
    action: str,
    body: Body,
    *,
    organisation: str = "org_a",
    part: Part = Part.REQUEST,
    talk: str = "inv_1",
) -> Entry:
    entry = store.admit(organisation, action, part, talk, body)
    assert entry is not None
    store.put([entry])
    return entry


def rows(folder: Path, query: str, organisation: str = "org_a") -> list[tuple[object, ...]]:
    connection = sqlite3.connect(shelf_path(folder, organisation))
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def messages(count: int, seed: int = 1, words: int = 30) -> list[bytes]:
    dice = random.Random(seed)  # noqa: S311 (a test's dice)
    return [message(dice, "user", words) for _ in range(count)]
