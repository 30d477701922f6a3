import os
import signal
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from tests.postgresql import server
from tests.postgresql.server import execute

from ringfence.domain.error import RingfenceError, UnavailableError, UsageError
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.connection import Connection, connect, translated


@pytest.fixture
def connection(postgresql_url: str) -> Iterator[Connection]:
    made = connect(Address.parse(postgresql_url))
    yield made
    made.close()


def refused(url: str) -> RingfenceError:
    with pytest.raises(RingfenceError) as caught:
        connect(Address.parse(url))
    return caught.value


def test_a_database_that_is_not_there_is_named(postgresql_server: str) -> None:
    parts = urlsplit(postgresql_server)
    error = refused(urlunsplit(parts._replace(path="/nowhere")))
    assert isinstance(error, UsageError)
    assert error.code == "database_unknown"
    assert "/nowhere" in error.message


def test_an_unknown_user_is_refused(postgresql_server: str) -> None:
    error = refused(postgresql_server.replace("ringfence@", "nobody:s3cret@"))
    assert (error.code, "nobody@" in error.message) == ("database_refused", True)
    assert "s3cret" not in f"{error} {error.help} {error.__cause__}"


def test_a_wrong_password_is_refused_and_not_shown() -> None:
    if server.own_missing():
        pytest.skip(server.own_missing())
    with server.serving() as running:
        execute(running.url, "CREATE ROLE ada LOGIN PASSWORD 'right'")
        running.demand_passwords()
        connect(Address.parse(running.url.replace("ringfence@", "ada:right@"))).close()
        error = refused(running.url.replace("ringfence@", "ada:wr0ng@"))
    assert (error.code, "ada@" in error.message) == ("database_refused", True)
    assert "wr0ng" not in f"{error} {error.help} {error.__cause__}"


def test_no_server_is_unavailable_and_said_so() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = refused(f"postgresql://ada:s3cret@127.0.0.1:{port}/acme")
    assert isinstance(error, UnavailableError)
    assert error.code == "store_unavailable"
    assert f"127.0.0.1:{port}" in error.message
    assert "s3cret" not in f"{error} {error.help} {error.__cause__}"


def test_a_server_that_hangs_counts_as_one_that_does_not_answer(connection: Connection) -> None:
    (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    connection.patience_s = 0.2
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises(UnavailableError), translated("ledger"):
            connection.execute("SELECT 1")
        assert time.monotonic() - began < 2
        with pytest.raises(UnavailableError), translated("ledger"):
            connection.execute("SELECT 1")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert connection.closed


def test_errors_tell_of_the_server_and_not_of_data(connection: Connection) -> None:
    connection.execute("CREATE TABLE one (word text PRIMARY KEY)")
    with pytest.raises(UnavailableError) as caught, translated("ledger"):
        connection.execute("INSERT INTO one VALUES ('private'), ('private')")
    assert "private" not in caught.value.message
    assert "UniqueViolation" in caught.value.message
    assert isinstance(caught.value.__cause__, psycopg.Error)
    connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(UnavailableError, match="read-only transaction") as caught, translated("x"):
        connection.execute("INSERT INTO one VALUES ('x')")
    assert "primary" in caught.value.help
