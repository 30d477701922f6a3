"""The planes of a database: who runs, what they tell each other, and how they are woken."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, final

import psycopg

from ringfence.domain.error import RingfenceError, UsageError
from ringfence.stores.plane import DEAD_S, Beat, ChangeKind, Member, News, StateNote
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import Connection, connect, translated
from ringfence.stores.postgresql.exchange import NOUN, Exchange
from ringfence.stores.postgresql.migration import lock, migrate
from ringfence.stores.postgresql.run import read_runs
from ringfence.stores.postgresql.schema import CHANNEL, STORES
from ringfence.stores.postgresql.state import WRITING

_HEAD: Final = """SELECT greatest((SELECT max(number) FROM shared_changes),
    (SELECT max(number) FROM shared_runs), 0)"""
_CHANGES: Final = """SELECT number, kind, organisation, subject FROM shared_changes
    WHERE number > %s ORDER BY number"""
# A server that has just started has heard of nobody for a while: nobody is silent for that.
_MEMBERS: Final = """SELECT id, logs, epoch, configuration,
        extract(epoch FROM clock_timestamp() - greatest(beat, pg_postmaster_start_time()))::float8,
        taken, keeps_journal
    FROM shared_planes ORDER BY id"""
_NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_JOIN: Final = """INSERT INTO shared_planes (id, logs, epoch, configuration, beat, taken)
    VALUES (%s, %s, 0, %s, clock_timestamp(), %s)
    ON CONFLICT (id) DO UPDATE SET logs = excluded.logs, configuration = excluded.configuration,
        beat = excluded.beat, taken = excluded.taken, epoch = 0, batch = 0"""
_BEAT: Final = """UPDATE shared_planes
    SET beat = clock_timestamp(), taken = greatest(taken, %s), epoch = %s, configuration = %s,
        keeps_journal = %s
    WHERE id = %s"""

_DRAW: Final = "INSERT INTO shared_installation (hash_seed) VALUES (%s) ON CONFLICT DO NOTHING"

_LEAVE: Final = """DELETE FROM shared_planes WHERE id = %s
    AND (%s OR beat < clock_timestamp() - make_interval(secs => %s))"""

_TIDY: Final = (
    """DELETE FROM shared_changes
        WHERE number <= (SELECT coalesce(min(taken), 0) FROM shared_planes)""",
    """DELETE FROM shared_runs
        WHERE NOT is_open AND number <= (SELECT coalesce(min(taken), 0) FROM shared_planes)""",
    """DELETE FROM shared_limits WHERE idle_us
        < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 600000000""",
)

_LISTEN_S: Final = 0.5
_AGAIN_S: Final = 0.5


@final
class PostgresMembership:
    """Implements `stores.plane.Membership`; used by one thread at a time, listening apart."""

    def __init__(self, address: Address, plane: str) -> None:
        """Connect when something is asked."""
        self._address = address
        self._exchange = Exchange(address)
        self._speaking = Exchange(address)
        self._speech = threading.Lock()
        self._plane = plane

    def join(self, logs: Sequence[str], configuration: str, patience_s: float) -> News:
        """Under the lock, so that of two with different configurations only one can."""
        with self._exchange.open() as connection, connection.transaction():
            lock(connection, WRITING)
            for member in _members(connection):
                is_other = member.plane != self._plane and member.silent_s < patience_s
                if is_other and member.configuration != configuration:
                    raise UsageError(
                        "configuration_differs",
                        "another plane of this database runs with another configuration",
                        help="give both the same files: `ringfence reload` on the running plane"
                        " takes new ones, then start this one",
                    )
            head = _head(connection)
            connection.execute(_JOIN, (self._plane, list(logs), configuration, head))
            return _news(connection, head)

    def beat(self, since: int, said: Beat) -> News:
        """One moment for everything that is read."""
        with self._exchange.open() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            news = _news(connection, since)
            connection.execute("COMMIT")
            connection.execute("BEGIN")
            connection.execute("SET LOCAL synchronous_commit = off")
            connection.execute(
                _BEAT,
                (said.taken, said.epoch, said.configuration, said.keeps_journal, self._plane),
            )
            connection.execute("COMMIT")
        return news

    def members(self) -> Sequence[Member]:
        """Their rows."""
        with self._speech, self._speaking.open() as connection:
            return _members(connection)

    def head(self) -> int:
        """In one statement."""
        with self._speech, self._speaking.open() as connection:
            return _head(connection)

    def leave(self, plane: str, *, is_sure: bool) -> None:
        """Remove its row."""
        with self._speech, self._speaking.open() as connection:
            connection.execute(_LEAVE, (plane, is_sure, DEAD_S))

    def tidy(self) -> None:
        """Delete what every plane has taken."""
        with self._speech, self._speaking.open() as connection:
            for statement in _TIDY:
                connection.execute(statement.encode())

    def say(self, words: str) -> None:
        """By NOTIFY."""
        with self._speech, self._speaking.open() as connection:
            connection.execute(f"SELECT pg_notify({CHANNEL}, %s)".encode(), (words,))

    def listen(self, hear: Callable[[str], None]) -> Callable[[], None]:
        """By LISTEN, on a connection that is made again when it breaks."""
        ended = threading.Event()
        thread = threading.Thread(
            target=self._listen, args=(hear, ended), name="planes-listen", daemon=True
        )
        thread.start()

        def end() -> None:
            ended.set()
            thread.join(2 * _LISTEN_S)

        return end

    def close(self) -> None:
        """Close the connections."""
        self._exchange.close()
        with self._speech:
            self._speaking.close()

    def _listen(self, hear: Callable[[str], None], ended: threading.Event) -> None:
        exchange = Exchange(self._address)
        while not ended.is_set():
            with suppress(RingfenceError, psycopg.Error), exchange.open() as connection:
                row = connection.execute(f"SELECT quote_ident({CHANNEL})".encode()).fetchone()
                connection.execute(f"LISTEN {row[0] if row else ''}".encode())
                while not ended.is_set():
                    for note in connection.notifies(timeout=_LISTEN_S):
                        hear(note.payload)
            ended.wait(_AGAIN_S)
        exchange.close()


def read_seed(address: Address, drawn: str) -> str:
    """How the workers of all planes hash: as the first plane has `drawn`. Raises as `connect`."""
    with connect(address) as connection, translated(NOUN):
        migrate(connection, STORES)
        connection.execute(_DRAW, (drawn,))
        row = connection.execute("SELECT hash_seed FROM shared_installation").fetchone()
    return str(row[0]) if row else drawn


def _head(connection: Connection) -> int:
    (head,) = connection.execute(_HEAD).fetchone() or (0,)
    return int(head)


def _members(connection: Connection) -> list[Member]:
    return [
        Member(
            plane=plane,
            logs=tuple(logs),
            epoch=epoch,
            configuration=configuration,
            silent_s=silent_s,
            taken=taken,
            keeps_journal=keeps_journal,
        )
        for plane, logs, epoch, configuration, silent_s, taken, keeps_journal in connection.execute(
            _MEMBERS
        ).fetchall()
    ]


def _news(connection: Connection, since: int) -> News:
    rows: list[tuple[Any, ...]] = connection.execute(_CHANGES, (since,)).fetchall()
    _, runs = read_runs(connection, since)
    (now_us,) = connection.execute(_NOW).fetchone() or (0,)
    return News(
        head=max(since, _head(connection)),
        state=[
            StateNote(kind=ChangeKind(kind), organisation=organisation, subject=subject)
            for _, kind, organisation, subject in rows
        ],
        runs=runs,
        members=_members(connection),
        now_us=int(now_us),
    )
