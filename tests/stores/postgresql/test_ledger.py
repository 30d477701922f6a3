import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import final

import pytest
from tests.postgresql import server
from tests.postgresql.server import TERMINATE, execute
from tests.stores.ledger.event import START_US, change, intent, outcome, refusal

from ringfence.domain.error import UnavailableError
from ringfence.domain.event import AnyEvent, Intent, Outcome
from ringfence.protocols import canonical
from ringfence.stores.ledger import Filter, LedgerReader, LedgerWriter, recover
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.projection import Projection
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.hold import Hold
from ringfence.stores.postgresql.ledger import PostgresLog
from ringfence.stores.postgresql.ledger_logs import PostgresLogs


@pytest.fixture
def log(postgresql_url: str) -> Iterator[PostgresLog]:
    opened = PostgresLog.open(Hold.take(Address.parse(postgresql_url), "log_1"))
    yield opened
    opened.close()


def batch(first: int, *events: AnyEvent) -> Batch:
    for number, event in enumerate(events, first):
        event.log, event.sequence = "log_1", number
    data = b"\n".join(map(canonical.encode, events))
    return Batch(first, len(events), data, START_US, START_US)


def gathered(first: int, *events: AnyEvent) -> Projection:
    projection = Projection()
    for number, event in enumerate(events, first):
        projection.apply(event, number, first)
    return projection


def firsts(url: str) -> list[tuple[object, ...]]:
    return execute(url, "SELECT first, count FROM ledger_segments ORDER BY first")


def test_a_projection_is_written_once_however_often_it_is_tried(
    log: PostgresLog, postgresql_url: str
) -> None:
    one = intent("act_1")
    events: list[AnyEvent] = [one, outcome(one, cost=7)]
    log.commit(batch(1, *events))
    for _ in range(3):
        log.derive(gathered(1, *events))
    spent = "SELECT sum(spent_nano) FROM ledger_accounts WHERE per = 'day'"
    assert execute(postgresql_url, spent) == [(7,)]
    assert execute(postgresql_url, "SELECT steps, cost_nano FROM ledger_invocations") == [(1, 7)]


def test_a_commit_whose_answer_was_lost_is_withdrawn(log: PostgresLog, postgresql_url: str) -> None:
    """The server did what it was told, the connection broke before it could say so."""
    log.commit(batch(1, intent("act_1")))
    execute(
        postgresql_url,
        "INSERT INTO ledger_segments SELECT log, 2, 1, 0, 0, leaves FROM ledger_segments",
    )
    execute(postgresql_url, TERMINATE)
    with pytest.raises(UnavailableError):
        log.commit(batch(2, intent("act_2")))
    log.probe()
    assert firsts(postgresql_url) == [(1, 1)]
    log.commit(batch(2, intent("act_3")))
    assert firsts(postgresql_url) == [(1, 1), (2, 1)]


def test_who_was_cut_off_never_writes_again(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    stale = PostgresLog.open(Hold.take(address, "log_1"))
    stale.commit(batch(1, intent("act_1")))
    execute(postgresql_url, TERMINATE)
    fresh = PostgresLog.open(Hold.take(address, "log_1"))
    fresh.commit(batch(2, intent("act_2")))
    attempts: list[Callable[[], None]] = [
        lambda: stale.commit(batch(2, intent("act_3"))),
        stale.probe,
        lambda: stale.derive(gathered(1, intent("act_1"))),
        stale.probe,
    ]
    for attempt in attempts:
        with pytest.raises(UnavailableError):
            attempt()
    assert firsts(postgresql_url) == [(1, 1), (2, 1)]
    stale.close()
    fresh.close()


def test_a_lost_lock_alone_is_enough_to_be_kept_off(postgresql_url: str) -> None:
    """A proxy or a failover may drop the session's lock and keep the connection."""
    address = Address.parse(postgresql_url)
    hold = Hold.take(address, "log_1")
    stale = PostgresLog.open(hold)
    hold.connection.execute("SELECT pg_advisory_unlock_all()")
    fresh = PostgresLog.open(Hold.take(address, "log_1"))
    attempts: list[Callable[[], None]] = [
        lambda: stale.commit(batch(1, intent("act_1"))),
        lambda: stale.derive(gathered(1, intent("act_1"))),
        stale.probe,
    ]
    for attempt in attempts:
        with pytest.raises(UnavailableError, match="taken over"):
            attempt()
    assert firsts(postgresql_url) == []
    stale.close()
    fresh.close()


def test_texts_that_the_database_cannot_hold_do_not_stop_the_log(
    log: PostgresLog, postgresql_url: str
) -> None:
    opened = change("invocation.opened", "inv_1", detail={"task": "a\0b", "external_id": "c\0"})
    log.commit(batch(1, opened))
    log.derive(gathered(1, opened))
    rows = execute(postgresql_url, "SELECT task, external_id FROM ledger_invocations")
    assert rows == [("a\ufffdb", "c\ufffd")]


@final
class Load:
    """Eight callers who go on until enough of their intents were acknowledged."""

    def __init__(self, writer: LedgerWriter, most: int) -> None:
        self.acknowledged: list[str] = []
        self.refused = 0
        self._writer = writer
        self._most = most
        self._numbers = itertools.count()

    def start(self) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._work()) for _ in range(8)]

    async def reached(self, count: int) -> None:
        while len(self.acknowledged) < count:  # noqa: ASYNC110 (bounded by the caller's timeout)
            await asyncio.sleep(0.001)

    async def refused_again(self) -> None:
        before = self.refused
        while self.refused == before:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.001)

    async def _work(self) -> None:
        while len(self.acknowledged) < self._most:
            one = intent(f"act_{next(self._numbers)}", reserved=50)
            try:
                await self._writer.intend(one)
            except UnavailableError:
                self.refused += 1
                await asyncio.sleep(0.01)
                continue
            self.acknowledged.append(one.action)
            self._writer.record(outcome(one, cost=3))
            self._writer.record(refusal(f"ref_{one.action}"))


async def under_fire(running: server.Server, logs: PostgresLogs) -> list[str]:
    """Kill the server twice while intents are being written; which were acknowledged."""
    writer = LedgerWriter(logs.take("log_1").open())
    load = Load(writer, 900)
    working = load.start()
    for count in (300, 600):
        await load.reached(count)
        await asyncio.to_thread(running.kill)
        await load.refused_again()
        await asyncio.to_thread(running.start)
    await asyncio.gather(*working)
    assert (writer.lost, writer.failure) == (0, None)
    await writer.close()
    return load.acknowledged


def everything(logs: PostgresLogs) -> list[AnyEvent]:
    reader = LedgerReader(logs)
    asked = Filter(organisation="org_a", is_newest_first=False)
    found = [one.event for one in reader.query(asked)]
    reader.close()
    return found


def test_a_server_that_dies_and_comes_back_loses_and_doubles_nothing() -> None:
    if server.own_missing():
        pytest.skip(server.own_missing())
    with server.serving(is_durable=True) as running:
        logs = PostgresLogs(Address.parse(running.url))
        acknowledged = asyncio.run(asyncio.wait_for(under_fire(running, logs), 60))
        held = logs.take("log_1")
        recovered = recover(held, logs, START_US)
        held.release()
        found = everything(logs)
    intents = [event.action for event in found if isinstance(event, Intent)]
    outcomes = [event for event in found if isinstance(event, Outcome)]
    assert sorted(intents) == sorted(acknowledged)
    assert sorted(event.action for event in outcomes) == sorted(intents)
    assert recovered.unknown == []
    assert [event.sequence for event in found] == list(range(1, len(found) + 1))
    total = sum(int(event.cost_nano) for event in outcomes)
    assert {amount for key, _, amount in recovered.spent if key.per == "day"} == {total}
