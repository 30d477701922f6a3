"""What every ledger must do, whatever keeps it; written against the public interface alone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from tests.stores.ledger.event import START_US, change, intent, outcome, refusal

from ringfence.decisions.limit import model_calls_key, tool_calls_key
from ringfence.domain.budget import AccountKey, BudgetScope, Per
from ringfence.domain.error import RingfenceError, UnavailableError, UsageError
from ringfence.domain.event import AnyEvent, Intent, Outcome, Status
from ringfence.domain.invocation import InvocationState
from ringfence.stores.body import Body
from ringfence.stores.ledger import (
    Filter,
    InvocationFilter,
    InvocationRecord,
    LedgerReader,
    LedgerWriter,
    Logs,
    Recovered,
    SqliteLogs,
    Stored,
    recover,
)
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.ledger_logs import PostgresLogs

NOW_US = START_US + 1_000_000


class Writer(Protocol):
    @property
    def failure(self) -> RingfenceError | None: ...
    def intend(self, intent: Intent, body: Body | None = None) -> asyncio.Future[None]: ...
    def append(self, event: AnyEvent, body: Body | None = None) -> asyncio.Future[None]: ...
    def record(self, event: AnyEvent, body: Body | None = None) -> None: ...
    async def flush(self) -> None: ...


class Reader(Protocol):
    def query(self, asked: Filter) -> Iterator[Stored]: ...
    def events_of(self, organisation: str, root: str) -> list[Stored]: ...
    def invocations(self, asked: InvocationFilter) -> Iterator[InvocationRecord]: ...
    def export(self, organisation: str) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Backend:
    """How a kind of ledger is opened; `folder` is a fresh place for each test."""

    logs: Callable[[Path], Logs]

    @asynccontextmanager
    async def writer(self, folder: Path, log: str) -> AsyncIterator[Writer]:
        writer = LedgerWriter(self.logs(folder).take(log).open())
        try:
            yield writer
        finally:
            await writer.close()

    @contextmanager
    def reader(self, folder: Path) -> Iterator[Reader]:
        reader = LedgerReader(self.logs(folder))
        try:
            yield reader
        finally:
            reader.close()

    def recover(self, folder: Path, log: str, now_us: int) -> Recovered:
        logs = self.logs(folder)
        held = logs.take(log)
        try:
            return recover(held, logs, now_us)
        finally:
            held.release()
            logs.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "sqlite":
        return Backend(SqliteLogs)
    address = Address.parse(request.getfixturevalue("postgresql_url"))
    return Backend(lambda _: PostgresLogs(address))


def write(backend: Backend, folder: Path, *events: AnyEvent, log: str = "log_1") -> None:
    async def run() -> None:
        async with backend.writer(folder, log) as writer:
            for event in events:
                await writer.append(event)

    asyncio.run(run())


def read(backend: Backend, folder: Path, organisation: str = "org_a") -> list[AnyEvent]:
    with backend.reader(folder) as reader:
        asked = Filter(organisation=organisation, is_newest_first=False)
        return [one.event for one in reader.query(asked)]


def test_an_event_comes_back_as_it_was_written(backend: Backend, tmp_path: Path) -> None:
    one = intent("act_1")
    written: list[AnyEvent] = [
        one,
        outcome(one),
        refusal("act_2", time_us=START_US + 2),
        change("agent.suspended", "agt_1", time_us=START_US + 3),
    ]
    write(backend, tmp_path, *written)
    assert read(backend, tmp_path) == written


def test_a_durable_intent_is_seen_by_everybody_at_once(backend: Backend, tmp_path: Path) -> None:
    async def run() -> None:
        async with backend.writer(tmp_path, "log_1") as writer:
            await writer.intend(intent("act_1"))
            assert len(read(backend, tmp_path)) == 1

    asyncio.run(run())


def test_a_log_is_numbered_without_gaps_across_restarts(backend: Backend, tmp_path: Path) -> None:
    async def run(part: int) -> None:
        async with backend.writer(tmp_path, "log_1") as writer:
            waiting = [writer.intend(intent(f"act_{part}_{n}")) for n in range(150)]
            for n in range(20):
                writer.record(refusal(f"ref_{part}_{n}"))
            await asyncio.gather(*waiting)

    asyncio.run(run(1))
    asyncio.run(run(2))
    found = read(backend, tmp_path)
    assert [event.sequence for event in found] == list(range(1, 341))
    assert {event.log for event in found} == {"log_1"}


def test_a_log_has_one_writer(backend: Backend, tmp_path: Path) -> None:
    async def run() -> None:
        async with backend.writer(tmp_path, "log_1"):
            with pytest.raises(UsageError) as caught:
                async with backend.writer(tmp_path, "log_1"):
                    pass
            assert caught.value.code == "log_in_use"
            async with backend.writer(tmp_path, "log_2"):
                pass

    asyncio.run(run())


def test_an_intent_has_exactly_one_outcome(backend: Backend, tmp_path: Path) -> None:
    one = intent("act_1")

    async def run() -> None:
        async with backend.writer(tmp_path, "log_1") as writer:
            await writer.intend(one)
            with pytest.raises(UnavailableError):
                await writer.intend(intent("act_1"))
            await writer.append(outcome(one))
            with pytest.raises(UnavailableError):
                await writer.append(outcome(one))
            assert writer.failure is None

    asyncio.run(run())
    assert len(read(backend, tmp_path)) == 2


def test_missing_outcomes_are_written_once_and_charged_in_full(
    backend: Backend, tmp_path: Path
) -> None:
    done, lost = intent("act_1", reserved=100), intent("act_2", reserved=700)
    write(backend, tmp_path, done, lost, outcome(done, cost=40))
    first = backend.recover(tmp_path, "log_1", NOW_US)
    again = backend.recover(tmp_path, "log_1", NOW_US)
    assert (first.unknown, again.unknown) == (["act_2"], [])
    spent = {key: amount for key, _, amount in again.spent}
    assert spent[AccountKey("org_a", BudgetScope.AGENT, "agt_1", Per.DAY)] == 740
    last = read(backend, tmp_path)[-1]
    assert isinstance(last, Outcome)
    assert (last.action, last.status, last.cost_nano) == ("act_2", Status.UNKNOWN, "700")


def test_what_the_books_say_is_the_sum_of_the_outcomes(backend: Backend, tmp_path: Path) -> None:
    async def work(writer: Writer, worker: int) -> None:
        for step in range(20):
            one = intent(f"act_{worker}_{step}", invocation=f"inv_{worker}")
            await writer.intend(one)
            writer.record(outcome(one, cost=worker + step))

    async def run() -> None:
        async with backend.writer(tmp_path, "log_1") as writer:
            await asyncio.gather(*(work(writer, worker) for worker in range(10)))

    asyncio.run(run())
    recovered = backend.recover(tmp_path, "log_1", NOW_US)
    charged = [int(e.cost_nano) for e in read(backend, tmp_path) if isinstance(e, Outcome)]
    spent = {key: amount for key, _, amount in recovered.spent}
    assert len(charged) == 200
    assert spent[AccountKey("org_a", BudgetScope.AGENT, "agt_1", Per.DAY)] == sum(charged)
    runs = {r.invocation.id: (r.steps, r.cost) for r in recovered.invocations}
    assert runs == {f"inv_{w}": (20, 20 * w + sum(range(20))) for w in range(10)}


def test_what_a_tree_has_called_is_known_after_a_restart(backend: Backend, tmp_path: Path) -> None:
    async def run() -> None:
        async with backend.writer(tmp_path, "log_1") as writer:
            for step in range(5):
                one = intent(f"act_{step}")
                if step < 3:
                    one.action_kind, one.resource = "tool.call", "crm__refund"
                await writer.intend(one)

    asyncio.run(run())
    spent = {key: amount for key, _, amount in backend.recover(tmp_path, "log_1", NOW_US).spent}
    assert spent[tool_calls_key("org_a", "inv_1")] == 3
    assert spent[tool_calls_key("org_a", "inv_1", "crm__refund")] == 3
    assert spent[model_calls_key("org_a", "inv_1")] == -3  # of five steps


def test_an_invocation_opens_runs_and_ends(backend: Backend, tmp_path: Path) -> None:
    one = intent("act_1")
    opened = change("invocation.opened", "inv_1", detail={"agent": "agt_1", "task": "sort"})
    write(backend, tmp_path, opened, one, outcome(one, cost=9), refusal("act_2"))
    with backend.reader(tmp_path) as reader:
        (running,) = reader.invocations(InvocationFilter(organisation="org_a"))
    assert (running.state, running.steps) == (InvocationState.OPEN, 1)
    assert (running.cost, running.refusals) == (9, 1)
    assert running.invocation.task == "sort"
    write(backend, tmp_path, change("invocation.finished", "inv_1"))
    with backend.reader(tmp_path) as reader:
        (ended,) = reader.invocations(InvocationFilter(organisation="org_a"))
    assert ended.state is InvocationState.FINISHED
    assert backend.recover(tmp_path, "log_1", NOW_US).invocations == []


def test_paging_gives_every_event_once(backend: Backend, tmp_path: Path) -> None:
    for log in ("log_1", "log_2"):
        events = (refusal(f"{log}_{n}", time_us=START_US + n) for n in range(30))
        write(backend, tmp_path, *events, log=log)
    seen: list[str] = []
    after: str | None = None
    with backend.reader(tmp_path) as reader:
        while page := list(reader.query(Filter(organisation="org_a", limit=7, after=after))):
            seen += [getattr(one.event, "action", "") for one in page]
            after = page[-1].cursor
    assert len(seen) == len(set(seen)) == 60
    numbers = [int(name.rsplit("_")[-1]) for name in seen]
    assert numbers == sorted(numbers, reverse=True)


def test_an_export_is_all_leaves_of_one_organisation_in_order(
    backend: Backend, tmp_path: Path
) -> None:
    write(backend, tmp_path, intent("act_1"), intent("act_2", organisation="org_b"))
    write(backend, tmp_path, intent("act_3"))
    with backend.reader(tmp_path) as reader:
        lines = list(reader.export("org_a"))
        leaves = [one.leaf for one in reader.query(Filter(organisation="org_a"))]
    assert lines == [leaf + b"\n" for leaf in reversed(leaves)]
    assert len(lines) == 2


def test_a_trace_holds_a_whole_tree_and_nothing_else(backend: Backend, tmp_path: Path) -> None:
    top = intent("act_1")
    below = intent("act_2", invocation="inv_2", root="inv_1", parent="inv_1")
    other = intent("act_3", invocation="inv_3")
    elsewhere = intent("act_4", organisation="org_b")
    write(backend, tmp_path, top, other, below, elsewhere)
    with backend.reader(tmp_path) as reader:
        found = [one.event for one in reader.events_of("org_a", "inv_1")]
    assert found == [top, below]
