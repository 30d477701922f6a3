import pytest
from tests.postgresql.server import TERMINATE, execute

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import connect
from ringfence.stores.postgresql.hold import Hold


def test_a_log_is_held_by_one_and_free_when_its_session_ends(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    first = Hold.take(address, "log_1")
    with pytest.raises(UsageError) as caught:
        Hold.take(address, "log_1")
    assert caught.value.code == "log_in_use"
    Hold.take(address, "log_2").release()
    execute(postgresql_url, TERMINATE)
    second = Hold.take(address, "log_1")
    assert second.fence == first.fence + 1
    second.release()
    second.release()
    first.release()


def test_who_was_cut_off_comes_back_only_while_nobody_took_over(postgresql_url: str) -> None:
    address = Address.parse(postgresql_url)
    first = Hold.take(address, "log_1")
    execute(postgresql_url, TERMINATE)
    first.retake()
    execute(postgresql_url, TERMINATE)
    second = Hold.take(address, "log_1")
    with pytest.raises(UnavailableError, match="still held"):
        first.retake()
    second.release()
    with pytest.raises(UnavailableError, match="taken over"):
        first.retake()
    first.release()


def test_a_session_of_ours_that_hangs_on_is_ended(postgresql_url: str) -> None:
    """After a network failure the server may keep the old session for a while."""
    address = Address.parse(postgresql_url)
    first = Hold.take(address, "log_1")
    old, first.connection = first.connection, connect(address)
    with pytest.raises(UnavailableError, match="still held"):
        first.retake()
    first.retake()
    with pytest.raises(Exception, match=r"terminating|closed"):
        old.execute("SELECT 1")
    old.close()
    first.release()


def test_a_commit_waits_for_the_disk_even_if_the_database_says_otherwise(
    postgresql_url: str,
) -> None:
    for said, done in (("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")):
        url = postgresql_url.replace(
            "-csearch_path", f"-csynchronous_commit%3D{said}%20-csearch_path"
        )
        hold = Hold.take(Address.parse(url), "log_1")
        assert hold.connection.execute("SHOW synchronous_commit").fetchone() == (done,)
        hold.release()
