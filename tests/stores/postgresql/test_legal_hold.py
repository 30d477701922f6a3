"""What holds must do on every place is told in `tests/conformance/test_hold.py`."""

from pathlib import Path

import pytest

from ringfence.app.storage import storage_at
from ringfence.domain.error import UnavailableError
from ringfence.stores.hold import Hold
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.legal_hold import PostgresHolds


def test_all_planes_of_a_database_see_the_same_holds(postgresql_url: str, tmp_path: Path) -> None:
    one, other = (storage_at(tmp_path / name, postgresql_url).holds("org_a") for name in "ab")
    held = Hold(subject="organisation", reason="case", actor="user:a", time_us="1")
    one.place(held)
    assert other.all() == [held]
    other.release("organisation")
    assert one.all() == []


def test_a_server_that_is_away_is_no_empty_list() -> None:
    holds = PostgresHolds(Address.parse("postgresql://x@/x?host=/nowhere"), "org_a")
    with pytest.raises(UnavailableError):
        holds.all()
