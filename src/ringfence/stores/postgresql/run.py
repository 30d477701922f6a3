"""The invocations that planes share, as rows of the database."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, final

import msgspec

from ringfence.domain.invocation import InvocationState
from ringfence.domain.registry import Card
from ringfence.stores.plane import Run, RunNote
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import Connection
from ringfence.stores.postgresql.exchange import Exchange
from ringfence.stores.postgresql.migration import lock
from ringfence.stores.postgresql.schema import CHANNEL
from ringfence.stores.postgresql.state import WRITING

_COLUMNS: Final = "number, plane, tips, card"
_SINCE: Final = f"""SELECT {_COLUMNS} FROM shared_runs
    WHERE number > %s ORDER BY number"""  # noqa: S608 (a constant)
_ALL: Final = f"SELECT {_COLUMNS} FROM shared_runs ORDER BY number"  # noqa: S608 (likewise)
_HEAD: Final = """SELECT greatest((SELECT max(number) FROM shared_changes),
    (SELECT max(number) FROM shared_runs), 0)"""

_WRITE: Final = """INSERT INTO shared_runs
    (organisation, id, number, plane, is_open, depth, tips, card)
    VALUES (%s, %s, nextval('shared_numbers'), %s, %s, %s, %s, %s)
    ON CONFLICT (organisation, id) DO UPDATE SET number = excluded.number, plane = excluded.plane,
        is_open = excluded.is_open AND shared_runs.is_open,
        tips = excluded.tips, card = excluded.card"""

_FORGET: Final = """DELETE FROM shared_limits WHERE organisation = %s AND holder = %s
    AND scope IN ('invocation', 'tree')"""


@final
class PostgresRuns:
    """Implements `stores.plane.SharedRuns` for one plane; used by one thread at a time."""

    def __init__(self, address: Address, plane: str) -> None:
        """Connect when something is asked."""
        self._exchange = Exchange(address)
        self._plane = plane

    def begin(self, since: int) -> tuple[int, Sequence[RunNote]]:
        """Under the lock that every writer of the state store takes, too."""
        with self._exchange.open() as connection:
            connection.execute("BEGIN")
            lock(connection, WRITING)
            return _notes(since, connection.execute(_SINCE, (since,)).fetchall())

    def commit(self, runs: Iterable[Run], *, is_durable: bool) -> int:
        """With the limits of what has ended, which mean nothing any more."""
        with self._exchange.open() as connection:
            if not is_durable:
                connection.execute("SET LOCAL synchronous_commit = off")
            number = self._write(connection, list(runs))
            connection.execute("COMMIT")
        return number

    def rollback(self) -> None:
        """By closing the connection, whatever state it is in."""
        self._exchange.close()

    def all(self) -> tuple[int, Sequence[RunNote]]:
        """The ended ones too, so that none is taken for open."""
        with self._exchange.open() as connection:
            (head,) = connection.execute(_HEAD).fetchone() or (0,)
            _, notes = _notes(0, connection.execute(_ALL).fetchall())
        return int(head), notes

    def close(self) -> None:
        """Close the connection."""
        self._exchange.close()

    def _write(self, connection: Connection, runs: Sequence[Run]) -> int:
        for run in runs:
            identity = run.card.identity
            is_open = run.card.state is InvocationState.OPEN
            connection.execute(
                _WRITE,
                (
                    *(identity.organisation, identity.id, self._plane, is_open, identity.depth),
                    *(list(run.tips), msgspec.msgpack.encode(run.card)),
                ),
            )
            if not is_open:
                connection.execute(_FORGET, (identity.organisation, identity.id))
        if not runs:
            return 0
        connection.execute(f"SELECT pg_notify({CHANNEL}, '')".encode())
        (number,) = connection.execute("SELECT currval('shared_numbers')").fetchone() or (0,)
        return int(number)


def read_runs(connection: Connection, since: int) -> tuple[int, Sequence[RunNote]]:
    """What was changed since a number, in the order of the changes."""
    return _notes(since, connection.execute(_SINCE, (since,)).fetchall())


def _notes(since: int, rows: Sequence[tuple[Any, ...]]) -> tuple[int, Sequence[RunNote]]:
    notes = [
        RunNote(
            plane=plane, run=Run(card=msgspec.msgpack.decode(card, type=Card), tips=tuple(tips))
        )
        for _, plane, tips, card in rows
    ]
    return max([since, *(int(row[0]) for row in rows)]), notes
