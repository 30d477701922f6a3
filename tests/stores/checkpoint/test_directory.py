import threading
from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.protocols import note
from ringfence.protocols.note import Note
from ringfence.protocols.signature import SigningKey, holds
from ringfence.stores.checkpoint import directory
from ringfence.stores.checkpoint.place import directory_path

KEY = SigningKey("house.example", bytes(32))


def test_a_directory_tells_its_logs_and_is_signed(tmp_path: Path) -> None:
    directory.begin(tmp_path, KEY)
    assert directory.listed(tmp_path) == []
    directory.add(tmp_path, "log_b", KEY)
    directory.add(tmp_path, "log_a", KEY)
    data = directory.add(tmp_path, "log_b", KEY)
    assert data == directory_path(tmp_path).read_bytes()
    one, ids = directory.read(data)
    assert ids == ["log_b", "log_a"]
    assert holds(one, KEY.verifier("house.example/directory"))


def test_a_missing_directory_is_no_empty_one(tmp_path: Path) -> None:
    for work in (directory.listed, lambda folder: directory.add(folder, "log_1", KEY)):
        with pytest.raises(UsageError) as caught:
            work(tmp_path)
        assert caught.value.code == "checkpoints_missing"


def test_a_list_that_does_not_fit_its_root_is_refused() -> None:
    one = note.parse(directory.write(["log_1", "log_2"], KEY))
    for text in (
        one.text.replace("log_2", "log_3"),
        one.text.replace("log log_2\n", ""),
        one.text.replace("log log_2", "other"),
    ):
        forged = note.render(Note(text=text, signatures=one.signatures))
        with pytest.raises(UsageError) as caught:
            directory.read(forged)
        assert caught.value.code == "note_malformed"


def test_logs_that_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    directory.begin(tmp_path, KEY)
    threads = [
        threading.Thread(target=directory.add, args=(tmp_path, f"log_{number}", KEY))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(directory.listed(tmp_path)) == [f"log_{number}" for number in range(8)]
