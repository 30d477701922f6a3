import os
import socket
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.installation import SECRET, SECRET_NAME, Installation, free_port, write_configuration
from tests.postgresql.server import execute

from ringfence.cli.doctor.examination import examine
from ringfence.cli.doctor.finding import Finding
from ringfence.config.settings import Settings
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.state import open_state

ENVIRONMENT = {SECRET_NAME: SECRET}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = write_configuration(tmp_path)
    return Settings(
        config=config, data=tmp_path / "data", port=free_port(), console_port=free_port()
    )


STORES = ["bodies", "holds", "ledger", "noting", "shared"]


def bad(findings: Sequence[Finding]) -> list[str]:
    return [found.what for found in findings if found.level == "bad"]


def test_looking_changes_nothing(settings: Settings) -> None:
    assert bad(examine(settings, ENVIRONMENT)) == []
    assert not settings.data.exists()


def test_a_folder_open_to_others_is_bad(settings: Settings) -> None:
    settings.data.mkdir(mode=0o755)
    settings.data.chmod(0o755)
    assert bad(examine(settings, ENVIRONMENT)) == [f"`{settings.data}` is open to other users"]


def test_a_key_open_to_others_is_bad(settings: Settings) -> None:
    key = settings.data / "keys" / "secret.key"
    settings.data.mkdir(mode=0o700)
    key.parent.mkdir(mode=0o700)
    key.touch(mode=0o600)
    assert bad(examine(settings, ENVIRONMENT)) == []
    key.chmod(0o640)
    assert bad(examine(settings, ENVIRONMENT)) == [f"`{key}` is open to other users"]


def test_a_state_store_of_a_later_version_is_bad(stopped: Installation) -> None:
    stopped.call("agent", "list")
    with sqlite3.connect(stopped.data / "state.db") as database:
        database.execute("INSERT INTO schema_version VALUES (99)")
    database.close()
    settings = Settings(
        config=stopped.folder / "ringfence.yaml",
        data=stopped.data,
        port=free_port(),
        console_port=free_port(),
    )
    (found,) = bad(examine(settings, ENVIRONMENT))
    assert "has schema 99" in found


def test_a_damaged_ledger_is_bad(stopped: Installation) -> None:
    stopped.call("agent", "suspend", "triage")
    (log,) = (stopped.data / "ledger").glob("*.db")
    log.write_bytes(b"")
    result = stopped.call("doctor", "--port", str(free_port()), "--console-port", str(free_port()))
    assert result.code == 1
    assert log.name in result.out


def test_a_port_that_is_taken_is_bad(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.port))
        taken.listen()
        (found,) = bad(examine(settings, ENVIRONMENT))
    assert f"127.0.0.1:{settings.port} cannot be used" in found


def test_a_clock_before_the_last_write_is_bad(settings: Settings) -> None:
    settings.data.mkdir(mode=0o700)
    store = settings.data / "bodies.db"
    store.touch(mode=0o600)
    os.utime(store, (2**31, 2**31))
    assert bad(examine(settings, ENVIRONMENT)) == [
        "the clock stands before the last write to the data folder"
    ]


def test_providers_are_tried_only_when_asked_for(settings: Settings) -> None:
    quiet = examine(settings, ENVIRONMENT)
    assert not any("provider `" in found.what for found in quiet)
    asked = examine(settings, ENVIRONMENT, is_network=True)
    (found,) = [each for each in asked if "provider `" in each.what]
    assert (found.level, found.what) == (
        "note",
        "provider `house` at 127.0.0.1:9 is not reachable",
    )


def at_database(settings: Settings, url: str) -> list[Finding]:
    found = examine(replace(settings, database=url), ENVIRONMENT)
    return [each for each in found if "database" in each.what or "PostgreSQL" in each.what]


def test_what_a_start_would_migrate_is_told_and_not_done(
    settings: Settings, postgresql_url: str
) -> None:
    for _ in range(2):
        notes = [each for each in at_database(settings, postgresql_url) if each.level == "note"]
        assert [each.what.split()[0] for each in notes] == [*STORES, "state"]
        assert all(each.help.startswith("the next start would bring it to 1") for each in notes)
    open_state(Address.parse(postgresql_url)).close()
    notes = [each for each in at_database(settings, postgresql_url) if each.level == "note"]
    assert notes == []


def test_a_database_that_does_not_answer_is_bad_and_its_password_not_shown(
    settings: Settings,
) -> None:
    url = f"postgresql://ada:hidden@127.0.0.1:{free_port()}/acme"
    found = at_database(settings, url)
    (said,) = [each.what for each in found if each.level == "bad" and "PostgreSQL" in each.what]
    assert said.startswith("no PostgreSQL server answers")
    assert "hidden" not in f"{found}"


def test_a_database_of_a_later_version_is_bad(settings: Settings, postgresql_url: str) -> None:
    open_state(Address.parse(postgresql_url)).close()
    execute(postgresql_url, "INSERT INTO schema_version VALUES (999)")
    found = [each.what for each in at_database(settings, postgresql_url) if each.level == "bad"]
    assert any("state in the database has schema 999" in what for what in found)
