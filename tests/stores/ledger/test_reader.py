import asyncio
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stores.ledger.event import START_US, change, intent, outcome, refusal

from ringfence.domain.event import AnyEvent
from ringfence.domain.invocation import InvocationState
from ringfence.protocols import canonical
from ringfence.stores.body import Body, BodyStore
from ringfence.stores.ledger.backend import Batch
from ringfence.stores.ledger.fence import Fence
from ringfence.stores.ledger.log import open_log
from ringfence.stores.ledger.query import Filter, InvocationFilter, Stored
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.ledger.segment import SegmentWriter
from ringfence.stores.ledger.writer import LedgerWriter


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[LedgerReader]:
    made = LedgerReader(tmp_path)
    yield made
    made.close()


def write(folder: Path, *events: AnyEvent, log: str = "log_1") -> None:
    """Each event in a group of its own."""

    async def run() -> None:
        writer = LedgerWriter.open(Fence.take(folder, log))
        for event in events:
            await writer.append(event)
        await writer.close()

    asyncio.run(run())


def names(found: Iterator[Stored] | list[Stored]) -> list[str]:
    return [getattr(one.event, "action", "") for one in found]


def refusals(numbers: range) -> list[AnyEvent]:
    return [refusal(f"act_{n}", invocation=f"inv_{n}", time_us=START_US + n) for n in numbers]


def test_an_empty_folder_holds_nothing(reader: LedgerReader) -> None:
    assert list(reader.query(Filter(organisation="org_a"))) == []
    assert list(reader.invocations(InvocationFilter(organisation="org_a"))) == []
    assert reader.events_of("org_a", "inv_1") == []
    assert list(reader.export("org_a")) == []


def test_events_are_given_newest_or_oldest_first(tmp_path: Path, reader: LedgerReader) -> None:
    write(tmp_path, *refusals(range(5)))
    newest = Filter(organisation="org_a", limit=3)
    oldest = Filter(organisation="org_a", limit=3, is_newest_first=False)
    assert names(reader.query(newest)) == ["act_4", "act_3", "act_2"]
    assert names(reader.query(oldest)) == ["act_0", "act_1", "act_2"]


def test_logs_are_read_as_one(tmp_path: Path, reader: LedgerReader) -> None:
    for n in range(6):
        write(tmp_path, *refusals(range(n, n + 1)), log=f"log_{n % 2}")
    asked = Filter(organisation="org_a", since_us=START_US + 1, until_us=START_US + 5)
    assert names(reader.query(asked)) == ["act_4", "act_3", "act_2", "act_1"]


@pytest.mark.parametrize("is_newest_first", [True, False])
def test_pages_give_each_event_once_while_more_is_written(
    tmp_path: Path, reader: LedgerReader, *, is_newest_first: bool
) -> None:
    write(tmp_path, *refusals(range(50)), log="log_1")
    write(tmp_path, *refusals(range(50, 100)), log="log_2")
    seen: list[str] = []
    after: str | None = None
    for n in range(100, 120):
        asked = Filter(organisation="org_a", limit=7, after=after, is_newest_first=is_newest_first)
        page = list(reader.query(asked))
        if not page:
            break
        seen += names(page)
        after = page[-1].cursor
        write(tmp_path, *refusals(range(n, n + 1)), log=f"log_{n % 2 + 1}")
    before = [f"act_{n}" for n in range(100)]
    if is_newest_first:
        assert seen == before[::-1]
    else:
        assert seen[:100] == before
        assert len(seen) == len(set(seen))


def test_events_of_one_time_are_paged_too(tmp_path: Path, reader: LedgerReader) -> None:
    write(tmp_path, *(refusal(f"act_{n}") for n in range(20)))
    seen: list[str] = []
    after: str | None = None
    while page := list(reader.query(Filter(organisation="org_a", limit=3, after=after))):
        seen += names(page)
        after = page[-1].cursor
    assert seen == [f"act_{n}" for n in reversed(range(20))]


def test_a_clock_that_went_back_hides_nothing(tmp_path: Path, reader: LedgerReader) -> None:
    times = [50, 10, 60, 20]
    write(tmp_path, *(refusal(f"act_{t}", time_us=START_US + t) for t in times))
    for is_newest_first in (True, False):
        asked = Filter(
            organisation="org_a",
            since_us=START_US + 10,
            until_us=START_US + 50,
            is_newest_first=is_newest_first,
        )
        assert sorted(names(reader.query(asked))) == ["act_10", "act_20"]


def test_a_reader_sees_what_a_running_writer_has_committed(
    tmp_path: Path, reader: LedgerReader
) -> None:
    """Also what is derived, though it is not written yet."""

    async def run() -> None:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        for n in range(3):
            one = intent(f"act_{n}")
            await writer.intend(one)
            await writer.append(outcome(one, cost=5))
            (record,) = reader.invocations(InvocationFilter(organisation="org_a"))
            assert (record.steps, record.cost) == (n + 1, 5 * (n + 1))
            assert len(reader.events_of("org_a", "inv_1")) == 2 * (n + 1)
            assert len(list(reader.query(Filter(organisation="org_a")))) == 2 * (n + 1)
        await writer.append(change("invocation.stopped", "inv_1"))
        (record,) = reader.invocations(InvocationFilter(organisation="org_a"))
        assert record.state is InvocationState.STOPPED
        assert record.invocation.agent == "agt_1"
        await writer.close()

    asyncio.run(run())


def test_a_tree_is_read_whole_and_in_order(tmp_path: Path, reader: LedgerReader) -> None:
    top, below = intent("act_1"), intent("act_2", invocation="inv_2", root="inv_1", parent="inv_1")
    write(tmp_path, top, *refusals(range(50, 60)), below, log="log_1")
    write(tmp_path, intent("act_9", invocation="inv_9"), refusal("act_3"), log="log_2")
    write(tmp_path, outcome(below), outcome(top), log="log_1")
    assert names(reader.events_of("org_a", "inv_1")) == [
        "act_1", "act_3", "act_2", "act_2", "act_1",
    ]  # fmt: skip


def test_no_organisation_sees_another(tmp_path: Path, reader: LedgerReader) -> None:
    mine, other = intent("act_1"), intent("act_2", organisation="org_b")
    write(tmp_path, mine, other, change("agent.suspended", "agt_1", organisation="org_b"))
    assert names(reader.query(Filter(organisation="org_a"))) == ["act_1"]
    assert names(reader.events_of("org_a", "inv_1")) == ["act_1"]
    assert len(list(reader.export("org_b"))) == 2
    (record,) = reader.invocations(InvocationFilter(organisation="org_a"))
    assert record.steps == 1


def test_invocations_are_listed_newest_first_in_pages(tmp_path: Path, reader: LedgerReader) -> None:
    ids = [f"inv_{n:04}" for n in range(450)]
    connection_events = [refusal(f"act_{name}", invocation=name) for name in ids]

    async def run() -> None:
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"))
        for event in connection_events[:440]:
            writer.record(event)
        await writer.settle()
        for event in connection_events[430:]:
            await writer.append(event)
        seen: list[str] = []
        after: str | None = None
        while page := list(
            reader.invocations(InvocationFilter(organisation="org_a", limit=170, after=after))
        ):
            seen += [record.invocation.id for record in page]
            after = seen[-1]
        assert seen == ids[::-1]
        counts = {
            record.invocation.id: record.refusals
            for record in reader.invocations(InvocationFilter(organisation="org_a"))
        }
        assert {name for name, count in counts.items() if count == 2} == set(ids[430:440])
        await writer.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (InvocationFilter(organisation="org_a"), "inv_3 inv_2 inv_1"),
        (InvocationFilter(organisation="org_a", agent="agt_2"), "inv_3"),
        (InvocationFilter(organisation="org_a", state=InvocationState.FINISHED), "inv_2"),
        (InvocationFilter(organisation="org_a", root="inv_1"), "inv_2 inv_1"),
        (InvocationFilter(organisation="org_a", is_root=True), "inv_3 inv_1"),
        (InvocationFilter(organisation="org_a", is_root=False), "inv_2"),
        (InvocationFilter(organisation="org_a", since_us=START_US + 2), "inv_3 inv_2"),
        (InvocationFilter(organisation="org_a", until_us=START_US + 2), "inv_1"),
    ],
)
def test_invocations_are_filtered(
    tmp_path: Path, reader: LedgerReader, asked: InvocationFilter, found: str
) -> None:
    write(
        tmp_path,
        intent("act_1", time_us=START_US + 1),
        intent("act_2", invocation="inv_2", root="inv_1", parent="inv_1", time_us=START_US + 2),
        intent("act_3", invocation="inv_3", agent="agt_2", time_us=START_US + 3),
    )
    write(tmp_path, change("invocation.finished", "inv_2", time_us=START_US + 9), log="log_2")
    assert [record.invocation.id for record in reader.invocations(asked)] == found.split()


def test_events_are_found_by_the_words_of_their_bodies(
    tmp_path: Path, reader: LedgerReader
) -> None:
    async def run() -> None:
        bodies = BodyStore.open(tmp_path)
        writer = LedgerWriter.open(Fence.take(tmp_path, "log_1"), bodies=bodies)
        for n, text in enumerate(["refund order 7", "weather", "Refund, please"]):
            whole = b'{"content":"%s"}' % text.encode()
            await writer.intend(intent(f"act_{n}", time_us=START_US + n), Body(whole))
        await writer.close()
        bodies.close()

    asyncio.run(run())
    found = names(reader.query(Filter(organisation="org_a", text="refund")))
    assert found == ["act_2", "act_0"]
    assert names(reader.query(Filter(organisation="org_a", text="refund order"))) == ["act_0"]
    assert names(reader.query(Filter(organisation="org_b", text="refund"))) == []


def test_an_export_is_every_leaf_in_order_and_needs_little_memory(
    tmp_path: Path, reader: LedgerReader
) -> None:
    count, group = 60_000, 100
    fence = Fence.take(tmp_path, "log_1")
    connection = open_log(fence)
    segments = SegmentWriter(connection)
    connection.execute("BEGIN")
    for start in range(0, count, group):
        leaves = []
        for n in range(start, start + group):
            event = refusal(f"act_{n}")
            event.log, event.sequence = "log_1", n + 1
            leaves.append(canonical.encode(event))
        segments.append(Batch(start + 1, group, b"\n".join(leaves), START_US, START_US))
    connection.execute("UPDATE log SET projected = ?", (count,))
    connection.execute("COMMIT")
    connection.close()
    fence.release()
    tracemalloc.start()
    lines = reader.export("org_a")
    exported = 0
    for number, line in enumerate(lines):
        exported += 1
        assert line.endswith(b"\n")
        if number % 10_000 == 0:
            assert b'"action":"act_%d"' % number in line
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert exported == count
    assert peak < 16_000_000
