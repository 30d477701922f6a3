import pytest
from tests.postgresql.server import execute
from tests.stores.ledger.event import START_US, intent
from tests.stores.postgresql.test_ledger import batch

from ringfence.domain.error import UsageError
from ringfence.stores.ledger import recover
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.ledger_logs import PostgresLogs


def test_a_reader_makes_a_new_database_and_refuses_one_it_does_not_know(
    postgresql_url: str,
) -> None:
    logs = PostgresLogs(Address.parse(postgresql_url))
    assert logs.ids() == []
    logs.close()
    for version, code in (("+ 99", "schema_newer"), ("- 99", "schema_older")):
        execute(postgresql_url, f"UPDATE store_versions SET version = version {version}")  # noqa: S608 (constants)
        with pytest.raises(UsageError) as caught:
            logs.ids()
        assert caught.value.code == code
        execute(postgresql_url, "UPDATE store_versions SET version = 1")


def test_a_plane_makes_the_logs_of_dead_planes_whole_and_leaves_living_ones(
    postgresql_url: str,
) -> None:
    logs = PostgresLogs(Address.parse(postgresql_url))
    dead, living = logs.take("log_1").open(), logs.take("log_2").open()
    dead.commit(batch(1, intent("act_1", reserved=70)))
    living.commit(batch(1, intent("act_2", reserved=900)))
    dead.close()
    own = logs.take("log_3")
    recovered = recover(own, logs, START_US)
    assert (recovered.unknown, recovered.held) == (["act_1"], ["log_2"])
    assert {amount for _, _, amount in recovered.spent} == {70}
    own.release()
    living.close()
    logs.close()
