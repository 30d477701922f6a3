import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from ringfence.app.storage import storage_at
from ringfence.domain.error import UsageError
from ringfence.stores.secret import StoredSecrets, WrappingKeys
from ringfence.stores.secret.stored import LARGEST_BYTES
from ringfence.stores.secret.wrapping_key import default_path
from ringfence.stores.state.store import StateStore, open_state

VALUE = "sk-canary-0123456789"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, folder: Path) -> Iterator[StateStore]:
    database = "sqlite"
    if request.param == "postgresql":
        database = request.getfixturevalue("postgresql_url")
    store = storage_at(folder, database).state()
    yield store
    store.close()


@pytest.fixture
def embedded(folder: Path) -> StateStore:
    return open_state(folder)


def secrets(state: StateStore, folder: Path, space: str = "secret") -> StoredSecrets:
    times = count(1)
    keys = WrappingKeys(default_path(folder))
    return StoredSecrets(state.secrets, keys, lambda: next(times), space=space)


def test_a_value_comes_back_as_a_secret(state: StateStore, folder: Path) -> None:
    kept = secrets(state, folder)
    stored = kept.put("org_1", "crm", VALUE, {"user": "usr_1"}, actor="cli")
    found = kept.get("org_1", "crm")
    assert found is not None
    assert (found[0].reveal(), found[1]) == (VALUE, {"user": "usr_1"})
    assert (stored.generation, stored.changed_by) == (1, "cli")
    assert VALUE not in repr((stored, found, kept.list("org_1")))


def test_no_file_of_the_data_folder_holds_a_value(embedded: StateStore, folder: Path) -> None:
    secrets(embedded, folder).put("org_1", "crm", VALUE)
    embedded.close()
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [found for found in files if VALUE.encode() in found]


def test_a_row_that_was_moved_to_another_organisation_does_not_open(
    embedded: StateStore, folder: Path
) -> None:
    kept = secrets(embedded, folder)
    kept.put("org_1", "crm", VALUE)
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("UPDATE stored_secrets SET organisation = 'org_2'")
    assert kept.get("org_1", "crm") is None
    with pytest.raises(UsageError) as caught:
        kept.get("org_2", "crm")
    assert caught.value.code == "secret_unreadable"
    assert VALUE not in f"{caught.value.message}{caught.value.help}"


def test_spaces_are_apart(state: StateStore, folder: Path) -> None:
    secrets(state, folder).put("org_1", "crm", VALUE)
    grants = secrets(state, folder, "grant")
    assert grants.get("org_1", "crm") is None
    assert grants.list("org_1") == ()
    assert not grants.delete("org_1", "crm")


def test_a_deleted_value_is_gone(state: StateStore, folder: Path) -> None:
    kept = secrets(state, folder)
    kept.put("org_1", "crm", VALUE)
    assert kept.delete("org_1", "crm")
    assert kept.get("org_1", "crm") is None
    assert kept.find("org_1", "crm") is None
    assert not kept.delete("org_1", "crm")


def test_another_key_takes_over_everything_at_once(state: StateStore, folder: Path) -> None:
    kept, grants = secrets(state, folder), secrets(state, folder, "grant")
    kept.put("org_1", "crm", VALUE)
    grants.put("org_2", "usr_1", VALUE)
    before = default_path(folder).read_bytes()
    assert kept.renew_key() == 2
    after = default_path(folder).read_bytes()
    assert before not in after
    for found in (kept.get("org_1", "crm"), grants.get("org_2", "usr_1")):
        assert found is not None
        assert found[0].reveal() == VALUE


def test_after_a_crash_in_the_middle_both_keys_open_and_doing_it_again_ends_it(
    state: StateStore, folder: Path
) -> None:
    kept = secrets(state, folder)
    kept.put("org_1", "crm", VALUE)
    WrappingKeys(default_path(folder)).renew()  # and no more
    assert kept.get("org_1", "crm") is not None
    kept.renew_key()
    assert len(default_path(folder).read_bytes().splitlines()) == 1
    assert kept.get("org_1", "crm") is not None


def test_a_lost_key_is_said_and_no_other_is_made(state: StateStore, folder: Path) -> None:
    kept = secrets(state, folder)
    kept.put("org_1", "crm", VALUE)
    default_path(folder).unlink()
    for ask in (lambda: kept.get("org_1", "crm"), lambda: kept.put("org_1", "b", VALUE)):
        with pytest.raises(UsageError) as caught:
            ask()
        assert caught.value.code == "secret_key_missing"
    assert not default_path(folder).exists()


@pytest.mark.parametrize(
    ("value", "code"), [("", "secret_empty"), ("x" * (LARGEST_BYTES + 1), "secret_too_large")]
)
def test_a_value_that_cannot_be_is_refused(
    state: StateStore, folder: Path, value: str, code: str
) -> None:
    with pytest.raises(UsageError) as caught:
        secrets(state, folder).put("org_1", "crm", value)
    assert caught.value.code == code
