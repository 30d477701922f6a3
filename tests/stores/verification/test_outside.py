from pathlib import Path

import pytest
from tests.stores.verification.recording import record

from ringfence.domain.error import UsageError
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.checkpoint.place import directory_path, keys_path, notes_path
from ringfence.stores.verification.outside import Outside, read_kept, read_key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    record(folder, 10, most=2)
    return folder


def test_a_key_is_given_as_text_or_in_a_file(folder: Path, tmp_path: Path) -> None:
    key = SigningKeys(folder).current().verifier()
    (tmp_path / "key").write_text(f"{key}\n")
    assert read_key(str(key)) == read_key(str(tmp_path / "key")) == key
    with pytest.raises(UsageError):
        read_key(str(tmp_path / "missing"))
    with pytest.raises(UsageError):
        read_key("x" * 5000)


def test_checkpoints_are_found_among_other_notes(folder: Path, tmp_path: Path) -> None:
    paths = (keys_path(folder), directory_path(folder), notes_path(folder, "log_1"))
    (tmp_path / "kept").write_bytes(b"".join(path.read_bytes() for path in paths))
    kept = read_kept(tmp_path / "kept")
    name = SigningKeys(folder).current().name
    outside = Outside(kept=tuple(kept))
    sizes = [one.checkpoint.size for one in outside.of(f"{name}/log_1")]
    assert sizes == sorted(sizes)
    assert sizes[0] == 0
    assert [one.checkpoint.size for one in outside.of(f"{name}/directory")] == [1]
    assert outside.of("other") == []


@pytest.mark.parametrize("data", [b"", b"text", "text\n\n— name AAAAAAA=\n".encode()])
def test_a_file_without_checkpoints_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_kept(tmp_path / "kept")
    assert caught.value.code == "note_malformed"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing"):
        read_kept(tmp_path / "missing")
