from pathlib import Path

from ringfence.stores.checkpoint.leaf_file import LeafFile


def hashes(count: int, start: int = 0) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in range(start, start + count))


def test_hashes_are_read_by_index(tmp_path: Path) -> None:
    file = LeafFile.open(tmp_path / "h")
    file.append(hashes(3))
    file.append(hashes(6000, 3))
    assert file.size == 6003
    assert file.read(2, 2) == hashes(2, 2)
    assert file.read(6002, 9) == hashes(1, 6002)
    assert file.read(7000, 1) == b""
    assert b"".join(file.hashes(1, 6003)) == hashes(6002, 1)
    assert len(list(file.blocks(0, 6003))) == 2
    assert list(file.blocks(5, 5)) == []
    file.close()
    file.close()


def test_what_was_torn_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_bytes(hashes(2) + b"torn")
    readable = LeafFile.open_readable(path)
    assert (readable.size, readable.read(0, 9)) == (2, hashes(2))
    readable.close()
    file = LeafFile.open(path)
    file.append(hashes(1, 2))
    file.sync()
    assert file.read(0, 9) == hashes(3)
    file.truncate(1)
    file.append(hashes(1, 7))
    assert file.read(0, 9) == hashes(1) + hashes(1, 7)
    file.close()


def test_a_file_of_one_owner_is_made(tmp_path: Path) -> None:
    LeafFile.open(tmp_path / "new" / "h").close()
    assert (tmp_path / "new" / "h").stat().st_mode & 0o777 == 0o600
