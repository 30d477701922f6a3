from pathlib import Path

from tests.stores.checkpoint.signing import MemoryLog, opened, stated

from ringfence.protocols import note
from ringfence.stores.checkpoint.latest import installation_notes, latest_notes
from ringfence.stores.checkpoint.place import notes_path


def test_nothing_is_found_where_nothing_was_signed(tmp_path: Path) -> None:
    assert latest_notes(tmp_path) == {}
    assert installation_notes(tmp_path) == {}


def test_the_newest_of_each_log_is_found_however_many_there_are(tmp_path: Path) -> None:
    log = MemoryLog()
    attestation = opened(tmp_path, log)
    for size in range(1, 200):
        for group in log.write(1):
            attestation.add(group)
        attestation.sign()
        assert stated(latest_notes(tmp_path)["log_1"]).size == size
    attestation.close()
    opened(tmp_path, MemoryLog(), "log_2").close()
    found = latest_notes(tmp_path)
    assert {name: stated(one).size for name, one in found.items()} == {"log_1": 199, "log_2": 0}
    with notes_path(tmp_path, "log_2").open("ab") as file:
        file.write(b"torn")
    assert latest_notes(tmp_path) == found


def test_keys_and_directory_go_with_them(tmp_path: Path) -> None:
    opened(tmp_path, MemoryLog()).close()
    found = installation_notes(tmp_path)
    assert sorted(found) == ["directory", "keys"]
    assert all(note.parse(one) for one in found.values())
