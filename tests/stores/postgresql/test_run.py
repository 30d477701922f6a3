import threading
from collections.abc import Iterator

import pytest

from ringfence.domain.invocation import Grouping, Invocation, InvocationState
from ringfence.domain.registry import Card
from ringfence.domain.user import Principal
from ringfence.stores.plane import Run
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.run import PostgresRuns
from ringfence.stores.postgresql.state import open_state


@pytest.fixture
def planes(postgresql_url: str) -> Iterator[list[PostgresRuns]]:
    address = Address.parse(postgresql_url)
    open_state(address).close()
    made = [PostgresRuns(address, name) for name in ("one", "two")]
    yield made
    for each in made:
        each.close()


def run(name: str, *tips: int, state: InvocationState = InvocationState.OPEN) -> Run:
    identity = Invocation(
        id=name,
        organisation="org_1",
        agent="agt_1",
        root=name,
        parent=None,
        depth=0,
        credential="crd_1",
        opened_us=2**50,
        grouping=Grouping.HEADER,
        external_id="ticket-7",
        task="what \x00 ever",
    )
    card = Card(
        identity=identity,
        narrowing='{"models":["small"]}',
        principal=Principal(id="user_1", name="ann"),
        token_digest=b"\x00\xff",
        last_us=7,
        state=state,
    )
    return Run(card=card, tips=tips)


def test_a_run_reads_as_it_was_written_and_changes_are_heard_in_order(
    planes: list[PostgresRuns],
) -> None:
    one, two = planes
    assert one.begin(0) == (0, [])
    first = one.commit([run("inv_1", -(2**63), 2**63 - 1)], is_durable=True)
    head, notes = two.begin(0)
    assert head == first
    assert [(note.plane, note.run) for note in notes] == [
        ("one", run("inv_1", -(2**63), 2**63 - 1))
    ]
    two.commit([run("inv_2"), run("inv_1", 3)], is_durable=False)
    head, notes = one.begin(first)
    assert [note.run.card.identity.id for note in notes] == ["inv_2", "inv_1"]
    assert notes[1].run.tips == (3,)
    assert one.commit([], is_durable=False) == 0
    assert one.begin(head) == (head, [])
    one.rollback()
    assert {note.run.card.identity.id for note in two.all()[1]} == {"inv_1", "inv_2"}


def test_one_plane_at_a_time_changes_runs(planes: list[PostgresRuns]) -> None:
    one, two = planes
    one.begin(0)
    heard: list[str] = []

    def other() -> None:
        _, notes = two.begin(0)
        heard.extend(note.run.card.identity.id for note in notes)
        two.rollback()

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    one.commit([run("inv_1")], is_durable=True)
    thread.join(60)
    assert heard == ["inv_1"]


def test_what_was_rolled_back_was_never_there_and_what_has_ended_stays_so(
    planes: list[PostgresRuns],
) -> None:
    one, two = planes
    one.begin(0)
    one.rollback()
    assert one.all() == (0, [])
    one.begin(0)
    one.commit([run("inv_1", state=InvocationState.STOPPED)], is_durable=True)
    two.begin(0)
    two.commit([run("inv_1")], is_durable=True)  # as if it had not heard
    one.begin(0)
    one.rollback()
