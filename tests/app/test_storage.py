import sys
from pathlib import Path

import pytest

from ringfence.app.postgresql import PostgreSql
from ringfence.app.storage import Files, storage_of
from ringfence.config.settings import Settings
from ringfence.domain.error import UsageError
from ringfence.testing.ids import SequentialIds


def settings(folder: Path, database: str = "sqlite") -> Settings:
    return Settings(config=folder / "ringfence.yaml", data=folder, database=database)


def test_the_settings_say_where_everything_is(tmp_path: Path) -> None:
    assert isinstance(storage_of(settings(tmp_path)), Files)
    elsewhere = storage_of(settings(tmp_path, "postgresql://ada@db.example/acme"))
    assert isinstance(elsewhere, PostgreSql)


def test_a_url_that_cannot_be_read_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        storage_of(settings(tmp_path / "data", "postgresql://ada:s3cret%ZZ@db.example/acme"))
    assert caught.value.code == "setting_invalid"
    assert "s3cret" not in f"{caught.value} {caught.value.help}"
    assert not (tmp_path / "data").exists()


def test_without_the_driver_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ringfence.app.postgresql")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "ringfence.stores.postgresql.address", raising=False)
    with pytest.raises(UsageError) as caught:
        storage_of(settings(tmp_path, "postgresql://ada@db.example/acme"))
    assert caught.value.code == "driver_missing"
    assert "ringfence[postgresql]" in caught.value.help
    storage_of(settings(tmp_path))


def test_a_folder_has_one_log_that_goes_on(tmp_path: Path) -> None:
    storage, ids = Files(tmp_path), SequentialIds()
    first = storage.take_log(storage.logs(), ids)
    with first.writing():
        pass
    with pytest.raises(UsageError) as caught:
        storage.take_log(storage.logs(), ids)
    assert caught.value.code == "log_in_use"
    first.release()
    again = storage.take_log(storage.logs(), ids)
    assert again.log_id == first.log_id
    again.release()
