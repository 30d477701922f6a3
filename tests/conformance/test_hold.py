"""What every list of legal holds must do, whatever keeps it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ringfence.app.storage import storage_at
from ringfence.domain.error import UsageError
from ringfence.stores.hold import Hold, Holds


@pytest.fixture(params=["sqlite", "postgresql"])
def holds(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Holds]:
    """The holds of an organisation, each time as another process would open them."""
    database = "sqlite"
    if request.param == "postgresql":
        database = request.getfixturevalue("postgresql_url")
    return lambda organisation: storage_at(tmp_path, database).holds(organisation)


def hold(subject: str, time_us: int = 1) -> Hold:
    return Hold(subject=subject, reason="case 7", actor="user:a", time_us=str(time_us))


def test_holds_stand_until_they_are_released(holds: Callable[[str], Holds]) -> None:
    mine = holds("org_a")
    assert mine.all() == []
    mine.place(hold("organisation"))
    mine.place(hold("agent:agt_1", 2))
    assert [one.subject for one in holds("org_a").all()] == ["organisation", "agent:agt_1"]
    assert holds("org_b").all() == []
    assert mine.release("organisation") == hold("organisation")
    assert holds("org_a").all() == [hold("agent:agt_1", 2)]


@pytest.mark.parametrize("subject", ["", "agent:", "agent", "team:x", "agent:a b"])
def test_what_cannot_be_held_is_refused(subject: str, holds: Callable[[str], Holds]) -> None:
    with pytest.raises(UsageError) as caught:
        holds("org_a").place(hold(subject))
    assert caught.value.code == "hold_malformed"


def test_a_hold_is_placed_and_released_once(holds: Callable[[str], Holds]) -> None:
    mine = holds("org_a")
    mine.place(hold("organisation"))
    with pytest.raises(UsageError, match="already"):
        holds("org_a").place(hold("organisation"))
    with pytest.raises(UsageError, match="nothing holds"):
        mine.release("agent:agt_1")
    with pytest.raises(UsageError, match="nothing holds"):
        holds("org_b").release("organisation")
    assert mine.all() == [hold("organisation")]


def test_of_holds_that_are_placed_at_once_none_is_lost(holds: Callable[[str], Holds]) -> None:
    subjects = [f"agent:agt_{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda subject: holds("org_a").place(hold(subject)), subjects))
    assert sorted(one.subject for one in holds("org_a").all()) == sorted(subjects)


def test_nothing_is_placed_or_released_while_somebody_deletes(
    holds: Callable[[str], Holds],
) -> None:
    mine = holds("org_a")
    mine.place(hold("organisation"))
    with ThreadPoolExecutor(2) as pool:
        with mine.still():
            placing = pool.submit(holds("org_a").place, hold("agent:agt_1"))
            releasing = pool.submit(holds("org_a").release, "organisation")
            holds("org_b").place(hold("organisation"))  # another organisation does not wait
            time.sleep(0.1)
            assert not placing.done()
            assert not releasing.done()
            assert holds("org_a").all() == [hold("organisation")]
        placing.result(60)
        releasing.result(60)
    assert holds("org_a").all() == [hold("agent:agt_1")]
