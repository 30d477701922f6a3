from pathlib import Path

from ringfence.protocols import checkpoint, note
from ringfence.protocols.checkpoint import Checkpoint, Resumption, resumed
from ringfence.protocols.note import Note, Signature
from ringfence.stores.checkpoint.note_file import MOST, NoteFile, is_readable, thinned

LINE = Signature(name="o", key_id=b"1234", data=b"x" * 64)


def made(size: int, *, is_late: bool = False) -> bytes:
    late = (resumed(Resumption(size=1, time_us=2)),) if is_late else ()
    one = Checkpoint(origin="o", size=size, root=bytes(32), extensions=late)
    return note.render(Note(text=checkpoint.render(one), signatures=(LINE,)))


def test_checkpoints_are_found_again(tmp_path: Path) -> None:
    file = NoteFile.open(tmp_path / "n")
    for size in range(3):
        file.append(made(size))
    file.sync()
    file.close()
    file.close()
    again = NoteFile.open(tmp_path / "n")
    assert again.notes == [made(0), made(1), made(2)]
    again.close()


def test_a_torn_one_at_the_end_is_cut_off(tmp_path: Path) -> None:
    whole = made(1) + made(2)
    for cut in range(1, len(made(2))):
        (tmp_path / "n").write_bytes(whole[:-cut])
        file = NoteFile.open(tmp_path / "n")
        file.append(made(3))
        assert (tmp_path / "n").read_bytes() == made(1) + made(3)
        file.close()


def test_many_are_thinned_and_what_tells_of_a_crash_stays(tmp_path: Path) -> None:
    file = NoteFile.open(tmp_path / "n")
    for size in range(3 * MOST):
        file.append(made(size, is_late=size == 100))
    file.close()
    again = NoteFile.open(tmp_path / "n")
    assert len(again.notes) <= MOST
    assert again.notes[-1] == made(3 * MOST - 1)
    assert made(100, is_late=True) in again.notes
    assert again.notes[0] == made(0)
    again.close()


def test_the_newest_are_all_kept() -> None:
    notes = [made(size) for size in range(MOST)]
    assert thinned(notes)[-1024:] == notes[-1024:]


def test_only_a_whole_checkpoint_is_readable() -> None:
    assert is_readable(made(7))
    assert not is_readable(made(7)[:-1])
    assert not is_readable(note.render(Note(text="no checkpoint\n", signatures=(LINE,))))
