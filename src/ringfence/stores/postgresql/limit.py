"""The limits that planes share, as rows of the database."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, final

import msgspec

from ringfence.decisions.account import Account, Place
from ringfence.domain.lease import AccountState, Holder
from ringfence.stores.plane import GONE
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.exchange import Exchange

_KEY: Final = "organisation, holder, scope, per, unit, part, window_us"
_TYPES: Final = (*["text"] * 6, "bigint")

_ROW_TYPES: Final = (*_TYPES, "bigint", "text", "bigint", "jsonb")

# A run's limits are begun only while it is open: what came late must not begin them afresh.
_BEGIN: Final = f"""INSERT INTO shared_limits ({_KEY}, version, logs, state)
    SELECT {_KEY}, 0, '{{}}', state
    FROM unnest({", ".join(f"%s::{each}[]" for each in (*_TYPES, "jsonb"))}) AS a ({_KEY}, state)
    WHERE scope NOT IN ('invocation', 'tree') OR EXISTS (SELECT FROM shared_runs AS r
        WHERE r.organisation = a.organisation AND r.id = a.holder AND r.is_open)
    ORDER BY {_KEY}
    ON CONFLICT DO NOTHING"""  # noqa: S608 (constants alone)

_READ: Final = f"""SELECT version, state::text FROM shared_limits
    JOIN unnest({", ".join(f"%s::{each}[]" for each in _TYPES)}) AS a ({_KEY}) USING ({_KEY})"""  # noqa: S608 (likewise)

# All or nothing: the rows are locked, in one order everywhere, before the first is changed; a row
# that somebody changed first has another version by then, and none is written.
_WRITE: Final = f"""WITH asked AS (
        SELECT * FROM
        unnest({", ".join(f"%s::{each}[]" for each in _ROW_TYPES)})
            AS a ({_KEY}, version, logs, idle_us, state)
    ), found AS (
        SELECT 1 FROM shared_limits AS l JOIN asked AS a USING ({_KEY})
        WHERE l.version = a.version ORDER BY {_KEY} FOR UPDATE OF l
    ), ours AS (
        UPDATE shared_planes SET batch = %s
        WHERE id = %s AND batch < %s AND (SELECT count(*) FROM found) = %s RETURNING 1
    )
    UPDATE shared_limits AS l SET version = l.version + 1, state = a.state, idle_us = a.idle_us,
        logs = string_to_array(a.logs, ' ')
    FROM asked AS a
    WHERE (l.organisation, l.holder, l.scope, l.per, l.unit, l.part, l.window_us)
        = (a.organisation, a.holder, a.scope, a.per, a.unit, a.part, a.window_us)
        AND EXISTS (SELECT FROM ours)"""  # noqa: S608 (likewise)

_OF_LOG: Final = "SELECT version, state::text FROM shared_limits WHERE %s = ANY (logs)"


@final
class PostgresLimits:
    """Implements `stores.plane.SharedLimits` for one plane; used by one thread at a time."""

    def __init__(self, address: Address, plane: str) -> None:
        """Connect when something is asked."""
        self._exchange = Exchange(address)
        self._plane = plane

    def read(self, places: Iterable[Place]) -> Mapping[Place, tuple[int, AccountState]]:
        """In one statement, if all of them are there."""
        asked = list(places)
        found = self.find(asked)
        missing = [place for place in asked if place not in found]
        if missing:
            states = [_encoded(Account(*place).state()) for place in missing]
            with self._exchange.open() as connection:
                connection.execute(_BEGIN, (*_columns(missing), states))
            found |= self.find(missing)
        return found

    def find(self, places: Iterable[Place]) -> dict[Place, tuple[int, AccountState]]:
        """In one statement."""
        with self._exchange.open() as connection:
            return _states(connection.execute(_READ, _columns(places)).fetchall())

    def write(self, batch: int, states: Iterable[tuple[int, AccountState]]) -> bool:
        """In one statement."""
        asked = list(states)
        accounts = [Account.of(state) for _, state in asked]
        with self._exchange.open() as connection:
            done = connection.execute(
                _WRITE,
                (
                    *_columns([(each.key, each.start_us) for each in accounts]),
                    [version for version, _ in asked],
                    [" ".join(sorted(each.holders())) for each in accounts],
                    [each.idle_us() for each in accounts],
                    [_encoded(state) for _, state in asked],
                    *(batch, self._plane, batch, len(asked)),
                ),
            )
            return done.rowcount == len(asked)

    def written(self) -> int:
        """As the plane's own row says."""
        with self._exchange.open() as connection:
            row = connection.execute(
                "SELECT batch FROM shared_planes WHERE id = %s", (self._plane,)
            ).fetchone()
        return int(row[0]) if row else GONE

    def of_log(self, log: Holder) -> Mapping[Place, tuple[int, AccountState]]:
        """By reading them all: it is asked when a process has died."""
        with self._exchange.open() as connection:
            return _states(connection.execute(_OF_LOG, (log,)).fetchall())

    def logs(self) -> frozenset[str]:
        """By reading them all."""
        with self._exchange.open() as connection:
            rows = connection.execute("SELECT DISTINCT unnest(logs) FROM shared_limits").fetchall()
        return frozenset(str(log) for (log,) in rows)

    def standing(self, organisation: str) -> Sequence[AccountState]:
        """Those of its rows."""
        with self._exchange.open() as connection:
            rows = connection.execute(
                "SELECT version, state::text FROM shared_limits WHERE organisation = %s",
                (organisation,),
            ).fetchall()
        return [state for _, state in _states(rows).values()]

    def is_empty(self) -> bool:
        """Whether no row is there."""
        with self._exchange.open() as connection:
            return connection.execute("SELECT 1 FROM shared_limits LIMIT 1").fetchone() is None

    def close(self) -> None:
        """Close the connection."""
        self._exchange.close()


def _columns(places: Iterable[Place]) -> tuple[list[Any], ...]:
    keys = list(places)
    return (
        [key.organisation for key, _ in keys],
        [key.holder for key, _ in keys],
        [key.scope.value for key, _ in keys],
        [key.per.value for key, _ in keys],
        [key.unit.value for key, _ in keys],
        [key.part for key, _ in keys],
        [start_us for _, start_us in keys],
    )


def _encoded(state: AccountState) -> str:
    return msgspec.json.encode(state).decode()


def _states(rows: Iterable[tuple[Any, ...]]) -> dict[Place, tuple[int, AccountState]]:
    found = {}
    for version, text in rows:
        state = msgspec.json.decode(text, type=AccountState)
        found[state.key, state.start_us] = (int(version), state)
    return found
