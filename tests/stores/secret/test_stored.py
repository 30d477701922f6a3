import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import cast

import pytest

from ringfence.app.storage import storage_at
from ringfence.domain.error import UsageError
from ringfence.stores.secret import StoredSecrets, WrappingKeys
from ringfence.stores.secret.stored import LARGEST_BYTES
from ringfence.stores.secret.wrapping_key import default_path
from ringfence.stores.state.secret import SecretRecords, SecretRow
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


class Renewing:
    """Rows that are all encrypted with another key just before the next one is written."""

    def __init__(self, state: StateStore, folder: Path) -> None:
        self._records, self._other = state.secrets, secrets(state, folder)
        self.is_due = True

    def is_empty(self) -> bool:
        return self._records.is_empty()

    def put(self, row: SecretRow) -> SecretRow:
        if self.is_due:
            self.is_due = False
            self._other.renew_key()
        return self._records.put(row)


def test_a_value_that_is_written_while_the_key_is_renewed_opens(
    embedded: StateStore, folder: Path
) -> None:
    kept = secrets(embedded, folder)
    kept.put("org_1", "crm", VALUE)
    rows = cast("SecretRecords", Renewing(embedded, folder))
    StoredSecrets(rows, WrappingKeys(default_path(folder)), lambda: 1).put("org_1", "new", VALUE)
    assert kept.fit().trouble == ""
    assert kept.get("org_1", "new") is not None


_RENEW = """
import sys
from itertools import count
from pathlib import Path
from ringfence.stores.secret import StoredSecrets, WrappingKeys
from ringfence.stores.secret.wrapping_key import default_path
from ringfence.stores.state.secret import SecretRecords, SecretRow
from ringfence.stores.state.store import open_state
folder = Path(sys.argv[1])
kept = StoredSecrets(open_state(folder).secrets, WrappingKeys(default_path(folder)), lambda: 1)
for number in count():
    print(number, flush=True)
    kept.renew_key()
"""


def test_a_renewal_that_is_killed_at_any_moment_loses_nothing(
    embedded: StateStore, folder: Path
) -> None:
    kept = secrets(embedded, folder)
    for number in range(30):
        kept.put("org_1", f"s{number}", VALUE)
    for delay_ms in (1, 3, 6, 10, 15):
        process = subprocess.Popen(  # noqa: S603 (our own program)
            [sys.executable, "-c", _RENEW, str(folder)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay_ms / 1000)
        process.kill()
        process.wait()
        process.stdout.close()
        fit = kept.fit()
        assert (fit.stored, fit.trouble) == (30, "")
        assert fit.keys >= 1
    assert kept.renew_key() == 30
    assert kept.fit().keys == 1
    # Nothing is left of a file that was being written either: a key would stand in it.
    assert [path.name for path in default_path(folder).parent.iterdir()] == ["secret.key"]


def test_how_keys_fit_is_told(embedded: StateStore, folder: Path) -> None:
    kept = secrets(embedded, folder)
    assert kept.fit().stored == 0
    kept.put("org_1", "crm", VALUE)
    path = default_path(folder)
    right = path.read_bytes()
    path.write_bytes(b"A" * 43 + b"=\n")
    kept.put("org_1", "other", VALUE)
    assert kept.fit().trouble == "1 of 2 stored secrets need a key that is not here"
    path.unlink()
    assert kept.fit().trouble == "2 stored secrets cannot be opened: their key is not here"
    path.write_bytes(right + b"A" * 43 + b"=\n")
    path.chmod(0o600)
    assert (kept.fit().trouble, kept.fit().keys) == ("", 2)
    with closing(sqlite3.connect(folder / "state.db")) as database:
        database.execute("UPDATE stored_secrets SET name = 'moved' WHERE name = 'other'")
        database.commit()
    assert kept.fit().trouble == "stored secrets were changed or do not belong here: `moved`"


def in_files(folder: Path, part: bytes) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 1
    return [path.name for path in files if part in path.read_bytes()]


def test_what_was_replaced_or_deleted_is_in_no_file_any_more(
    embedded: StateStore, folder: Path
) -> None:
    kept = secrets(embedded, folder)
    kept.put("org_1", "crm", VALUE)

    def row() -> SecretRow:
        found = embedded.secrets.get("org_1", "secret", "crm")
        assert found is not None
        return found

    first = row()
    assert in_files(folder, first.sealed)
    kept.renew_key()
    assert not in_files(folder, first.wrapped)
    kept.put("org_1", "crm", VALUE)
    assert not in_files(folder, first.sealed)
    last = row()
    kept.delete("org_1", "crm")
    assert not in_files(folder, last.sealed)
    assert not in_files(folder, last.wrapped)


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
