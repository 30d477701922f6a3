"""Legal holds in PostgreSQL: one list for all planes that share the database."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final, final

from ringfence.stores.hold import Hold, require_subject, stands, unheld
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import Connection, connect, translated
from ringfence.stores.postgresql.migration import migrate
from ringfence.stores.postgresql.schema import STORES

NOUN: Final = "list of holds"

_ALL: Final = b"""SELECT subject, reason, actor, time_us FROM legal_holds
    WHERE organisation = %s ORDER BY time_us, subject"""
_PLACE: Final = b"""INSERT INTO legal_holds VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (organisation, subject) DO NOTHING"""
_RELEASE: Final = b"""DELETE FROM legal_holds WHERE organisation = %s AND subject = %s
    RETURNING subject, reason, actor, time_us"""

_LOCK: Final = b"""SELECT pg_advisory_lock(
    hashtextextended(current_schema() || ':ringfence:holds:' || %s, 0))"""


@final
class PostgresHolds:
    """Implements `stores.hold.Holds`; a connection for each question, since there are few."""

    def __init__(self, address: Address, organisation: str) -> None:
        """Connect when something is asked."""
        self._address = address
        self._organisation = organisation

    def all(self) -> list[Hold]:
        """Those that stand, the oldest first."""
        with closing(self._open()) as connection, translated(NOUN):
            rows = connection.execute(_ALL, (self._organisation,)).fetchall()
        return [_hold(*row) for row in rows]

    def place(self, hold: Hold) -> None:
        """Begin to hold."""
        require_subject(hold.subject)
        values = (self._organisation, hold.subject, hold.reason, hold.actor, int(hold.time_us))
        with closing(self._open()) as connection, translated(NOUN):
            connection.execute(_LOCK, (self._organisation,))
            if connection.execute(_PLACE, values).rowcount != 1:
                raise stands(hold.subject)

    def release(self, subject: str) -> Hold:
        """End a hold."""
        with closing(self._open()) as connection, translated(NOUN):
            connection.execute(_LOCK, (self._organisation,))
            row = connection.execute(_RELEASE, (self._organisation, subject)).fetchone()
        if row is None:
            raise unheld(subject)
        return _hold(*row)

    @contextmanager
    def still(self) -> Iterator[None]:
        """By a lock of a session of its own, which ends with it."""
        with closing(self._open()) as connection:
            with translated(NOUN):
                connection.execute(_LOCK, (self._organisation,))
            yield

    def _open(self) -> Connection:
        connection = connect(self._address)
        try:
            with translated(NOUN):
                migrate(connection, STORES)
        except BaseException:
            connection.close()
            raise
        return connection


def _hold(subject: str, reason: str, actor: str, time_us: int) -> Hold:
    return Hold(subject=subject, reason=reason, actor=actor, time_us=str(time_us))
