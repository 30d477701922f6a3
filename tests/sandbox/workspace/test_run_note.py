"""What a run leaves behind is known to those that come after, whatever ended it."""

import os
from pathlib import Path

import pytest
from tests.sandbox.workspace.held import held

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.sandbox.workspace import mask, run_note
from ringfence.sandbox.workspace.run_note import NotedFolder, RunNote, RunNotes


def note(name: str, *folders: Path, masks: tuple[str, ...] = ()) -> RunNote:
    noted = []
    for each in folders:
        found = each.stat()
        noted.append(
            NotedFolder(path=str(each), device=found.st_dev, inode=found.st_ino, masks=masks)
        )
        with held(each) as root:
            mask.make(root, masks)
    return RunNote(sandbox=name, folders=tuple(noted), began_us=5)


def begun(data: Path, name: str, *folders: Path, masks: tuple[str, ...] = ()) -> RunNotes:
    notes = RunNotes(data)
    with notes.gate():
        notes.begin(note(name, *folders, masks=masks))
    return notes


def killed(data: Path, name: str, *folders: Path, masks: tuple[str, ...] = ()) -> None:
    """As a run that is killed at any moment leaves it."""
    pid = os.fork()
    if pid == 0:
        begun(data, name, *folders, masks=masks)
        os._exit(0)
    os.waitpid(pid, 0)


def swept(data: Path, *folders: Path) -> list[str]:
    notes = RunNotes(data)
    with notes.gate():
        return [each.sandbox for each in notes.sweep([str(each) for each in folders])]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "data"
    made.mkdir()
    return made


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "work"
    made.mkdir()
    return made


def test_a_run_that_has_ended_leaves_neither_mask_nor_note(data: Path, work: Path) -> None:
    notes = begun(data, "sbx_1", work, masks=(".claude", ".vscode"))
    assert len(list(work.iterdir())) == 2
    notes.end(is_seen=True)
    notes.end(is_seen=True)
    assert list(work.iterdir()) == []
    assert list((data / "runs").glob("*.json")) == []


def test_masks_of_a_run_that_was_killed_go_with_the_next(data: Path, work: Path) -> None:
    killed(data, "sbx_1", work, masks=(".claude",))
    assert (work / ".claude").is_dir()
    assert swept(data, work) == ["sbx_1"]
    assert list(work.iterdir()) == []
    assert swept(data, work) == []


def test_a_run_elsewhere_removes_masks_and_leaves_the_word_to_one_that_is_there(
    data: Path, work: Path, tmp_path: Path
) -> None:
    killed(data, "sbx_1", work, masks=(".claude",))
    assert swept(data, tmp_path / "elsewhere") == []
    assert list(work.iterdir()) == []
    assert len(swept(data, work.parent)) == 1


def test_masks_stay_for_as_long_as_somebody_is_at_work_there(data: Path, work: Path) -> None:
    first = begun(data, "sbx_1", work, masks=(".claude",))
    (work / "inner").mkdir()
    second = begun(data, "sbx_2", work / "inner")
    first.end(is_seen=True)
    assert (work / ".claude").is_dir()
    second.end(is_seen=True)
    assert not (work / ".claude").exists()
    assert list((data / "runs").glob("*.json")) == []


def test_a_folder_that_is_another_by_now_keeps_what_it_has(data: Path, work: Path) -> None:
    killed(data, "sbx_1", work, masks=(".claude",))
    work.rename(work.parent / "moved")
    (work / ".claude").mkdir(parents=True)
    assert len(swept(data, work)) == 1
    assert (work / ".claude").is_dir()


def test_a_run_that_nobody_looked_after_is_told_of_though_it_ended_in_order(
    data: Path, work: Path
) -> None:
    begun(data, "sbx_1", work).end(is_seen=False)
    assert len(swept(data, work)) == 1


def test_a_data_folder_that_takes_no_notes_is_said_so(tmp_path: Path) -> None:
    notes = RunNotes(tmp_path / "missing")
    with pytest.raises(UsageError) as caught, notes.gate():
        pass
    assert caught.value.code == "data_folder_unusable"


def test_a_run_that_stands_in_the_gate_holds_others_up_for_a_bounded_time(
    data: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_note, "_GATE_S", 0.05)
    notes = begun(data, "sbx_1", work, masks=(".claude",))
    with RunNotes(data).gate():
        with pytest.raises(UnavailableError, match="too long"), RunNotes(data).gate():
            pass
        notes.end(is_seen=True)
    assert (work / ".claude").is_dir()
    assert swept(data, work) == []
    assert not (work / ".claude").exists()


def test_a_note_that_is_written_again_is_there_as_a_whole_or_as_it_was(
    data: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(data, "sbx_1", work, masks=("a",))

    def fails(_self: Path, _target: Path) -> None:
        raise OSError(5, "the machine goes down")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails)
        with pytest.raises(OSError, match="goes down"):
            swept(data)
    assert swept(data, work) == ["sbx_1"]


def test_a_note_that_was_cut_short_is_no_run(data: Path, work: Path) -> None:
    (data / "runs").mkdir()
    (data / "runs" / "sbx_1.json").write_text("{")
    assert swept(data, work) == []
    assert list((data / "runs").glob("*.json")) == []
