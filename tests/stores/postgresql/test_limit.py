from collections.abc import Iterator

import pytest
from tests.postgresql.server import execute

from ringfence.decisions.account import Account, Place
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit
from ringfence.domain.invocation import Grouping, Invocation, InvocationState
from ringfence.domain.lease import AccountState, Holder
from ringfence.domain.registry import Card
from ringfence.stores.plane import GONE, Run
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.limit import PostgresLimits
from ringfence.stores.postgresql.plane import PostgresMembership
from ringfence.stores.postgresql.run import PostgresRuns
from ringfence.stores.postgresql.state import open_state

DAILY = AccountKey("org_1", BudgetScope.AGENT, "agt_1", Per.DAY)
RUN = AccountKey("org_1", BudgetScope.INVOCATION, "inv_1", Per.INVOCATION, Unit.TOOL_CALLS, "crm")
ONE, TWO = Holder("log_1"), Holder("log_2")
PLACES: list[Place] = [(DAILY, 0), (DAILY, 86_400_000_000)]
LARGE = 2**62


@pytest.fixture
def address(postgresql_url: str) -> Address:
    made = Address.parse(postgresql_url)
    open_state(made).close()
    return made


@pytest.fixture
def planes(address: Address) -> Iterator[list[PostgresLimits]]:
    for name in ("one", "two"):
        membership = PostgresMembership(address, name)
        membership.join([], "c", 5.0)
        membership.close()
    made = [PostgresLimits(address, name) for name in ("one", "two")]
    yield made
    for each in made:
        each.close()


def lent(state: AccountState, holder: Holder, amount: int) -> AccountState:
    account = Account.of(state)
    account.lent[holder] = amount
    return account.state()


def test_rows_are_begun_once_and_written_all_together_or_not_at_all(
    planes: list[PostgresLimits],
) -> None:
    one, two = planes
    assert one.is_empty()
    assert one.find(PLACES) == {}
    mine, theirs = one.read(PLACES), two.read(PLACES)
    assert mine == theirs
    assert [version for version, _ in mine.values()] == [0, 0]
    changed = [(version, lent(state, ONE, LARGE)) for version, state in mine.values()]
    assert one.write(1, changed)
    found = two.find(PLACES)
    assert {version for version, _ in found.values()} == {1}
    assert all(state.lent == {ONE: LARGE} for _, state in found.values())

    # One row of two is not as it was read: none is written.
    first, second = found.values()
    assert two.write(1, [(first[0], lent(first[1], TWO, 1))])
    assert not one.write(2, [(first[0], first[1]), (second[0], lent(second[1], ONE, 7))])
    assert one.find(PLACES)[PLACES[1]] == second
    assert (one.written(), two.written()) == (1, 1)
    assert one.logs() == {ONE, TWO}
    assert set(one.of_log(TWO)) == {PLACES[0]}
    assert len(two.standing("org_1")) == 2
    assert two.standing("org_2") == []
    assert not one.is_empty()


def test_a_batch_is_written_once_and_by_a_plane_that_is_there(
    planes: list[PostgresLimits], postgresql_url: str
) -> None:
    one, two = planes
    [(version, state)] = one.read(PLACES[:1]).values()
    assert one.write(3, [(version, lent(state, ONE, 1))])
    assert not one.write(3, [(version + 1, lent(state, ONE, 2))])
    assert not one.write(2, [(version + 1, lent(state, ONE, 2))])
    execute(postgresql_url, "DELETE FROM shared_planes WHERE id = 'two'")
    assert two.written() == GONE
    assert not two.write(1, [(version + 1, lent(state, TWO, 2))])
    assert one.find(PLACES[:1])[PLACES[0]] == (version + 1, lent(state, ONE, 1))


def test_a_run_s_limits_live_as_long_as_it_is_open(
    planes: list[PostgresLimits], address: Address
) -> None:
    place: Place = (RUN, 0)
    assert planes[0].read([place]) == {}
    runs = PostgresRuns(address, "one")
    identity = Invocation(
        id="inv_1",
        organisation="org_1",
        agent="agt_1",
        root="inv_1",
        parent=None,
        depth=0,
        credential="crd_1",
        opened_us=1,
        grouping=Grouping.TOKEN,
    )
    card = Card(identity=identity)
    runs.begin(0)
    runs.commit([Run(card=card)], is_durable=True)
    assert set(planes[0].read([place])) == {place}
    runs.begin(0)
    ended = Card(identity=identity, state=InvocationState.FINISHED)
    runs.commit([Run(card=ended)], is_durable=True)
    runs.close()
    assert planes[0].read([place]) == {}
    assert planes[1].read([place]) == {}


def test_what_is_over_is_dropped(planes: list[PostgresLimits], address: Address) -> None:
    one = planes[0]
    past, present = one.read(PLACES).items()
    states = []
    for (key, start_us), (version, state) in (past, present):
        account = Account.of(state)
        account.end_us = start_us + 10 if start_us == 0 else 2**60
        states.append((version, account.state()))
        assert key == DAILY
    assert one.write(1, states)
    membership = PostgresMembership(address, "one")
    membership.tidy()
    membership.close()
    assert set(one.find(PLACES)) == {PLACES[1]}
