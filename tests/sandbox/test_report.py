"""What a run leaves behind is told to the plane, and what needs a person to the operator."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ringfence.domain.monitoring import Changed, Evidence, LateCodeFound
from ringfence.sandbox.plane_message import Message
from ringfence.sandbox.report import RunReport
from ringfence.sandbox.workspace.summary import Summary
from ringfence.sandbox.workspace.watched_folder import WatchedFolder


class Teller:
    def __init__(self) -> None:
        self.told: list[Message] = []

    def tell(self, message: Message) -> None:
        self.told.append(message)


async def watched(
    folder: Path, happens: Callable[[], object], printed: bytes = b"", others: Sequence[Path] = ()
) -> tuple[list[Message], list[str]]:
    teller, said = Teller(), list[str]()
    watched = [WatchedFolder(str(each.resolve())) for each in (folder, *others)]
    report = RunReport(watched, "sbx_1", teller, said.append)
    report.begin()
    happens()
    if printed:
        report.seen(printed)
    await report.finish()
    for each in watched:
        each.close()
    return teller.told, said


def test_changes_and_what_was_printed_are_told(tmp_path: Path) -> None:
    async def story() -> None:
        told, said = await watched(tmp_path, lambda: (tmp_path / "a").write_text("x"), b"$ ls\r\n")
        evidence, changed = told
        assert isinstance(evidence, Evidence)
        assert isinstance(changed, Changed)
        assert (evidence.kind, evidence.body) == ("transcript", b"$ ls\r\n")
        summary = msgspec.json.decode(changed.summary, type=Summary)
        assert [each.path for each in summary.added] == ["a"]
        assert said == []

    asyncio.run(story())


def test_late_code_is_set_aside_and_told_to_both(tmp_path: Path) -> None:
    async def story() -> None:
        told, said = await watched(tmp_path, lambda: (tmp_path / ".envrc").write_text("evil"))
        found, _ = told
        assert isinstance(found, LateCodeFound)
        assert found.moved_to == ".envrc.quarantined-sbx_1"
        assert not (tmp_path / ".envrc").exists()
        [line] = said
        why = "direnv runs it when somebody enters the folder"
        assert line == f"the run left .envrc, and {why}: moved to .envrc.quarantined-sbx_1"

    asyncio.run(story())


def test_many_are_not_all_shown_at_the_terminal(tmp_path: Path) -> None:
    def happens() -> None:
        (tmp_path / ".vscode").mkdir()
        for number in range(25):
            (tmp_path / f".vscode/{number}.json").write_text("{}")

    async def story() -> None:
        told, said = await watched(tmp_path, happens)
        assert len(told) == 26
        assert len(said) == 21
        assert said[-1].startswith("and 5 more")

    asyncio.run(story())


def test_a_flood_of_late_code_is_counted_on_the_record(tmp_path: Path) -> None:
    def happens() -> None:
        (tmp_path / ".vscode").mkdir()
        for number in range(300):
            (tmp_path / f".vscode/{number}.json").write_text("{}")

    async def story() -> None:
        told, said = await watched(tmp_path, happens)
        found = [each for each in told if isinstance(each, LateCodeFound)]
        assert len(found) == 256
        assert [each.more for each in found if each.more] == [44]
        assert said[-1] == "and 280 more, each with `.quarantined-sbx_1` in its name"

    asyncio.run(story())
    assert len(list(tmp_path.rglob("*.quarantined-sbx_1"))) == 300


def test_a_workspace_that_is_gone_is_said_so_and_is_on_the_record(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()

    async def story() -> None:
        told, said = await watched(work, work.rmdir)
        [changed] = told
        assert isinstance(changed, Changed)
        summary = msgspec.json.decode(changed.summary, type=Summary)
        assert summary.trouble == "it was removed while the run lasted"
        assert said == ["look at the workspace yourself: it was removed while the run lasted"]

    asyncio.run(story())


def test_what_is_in_use_elsewhere_is_told_to_the_operator(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "module.py").write_text("x")
    (tmp_path / "cache.py").hardlink_to(work / "module.py")

    async def story() -> None:
        _, said = await watched(work, lambda: (work / "module.py").write_text("evil"))
        assert said == ["the run changed module.py, which is in use elsewhere too: a hard link"]

    asyncio.run(story())


def test_every_folder_that_may_be_changed_is_looked_at(tmp_path: Path) -> None:
    work, other = tmp_path / "work", tmp_path / "other"
    work.mkdir()
    other.mkdir()

    async def story() -> None:
        told, said = await watched(
            work, lambda: (other / ".envrc").write_text("evil"), others=[other]
        )
        first, found, second = told
        assert isinstance(first, Changed)
        assert isinstance(found, LateCodeFound)
        assert isinstance(second, Changed)
        assert (first.folder, second.folder) == ("", str(other.resolve()))
        assert found.path == f"{other.resolve()}/.envrc"
        assert found.moved_to == f"{other.resolve()}/.envrc.quarantined-sbx_1"
        assert said[0].startswith(f"the run left {other.resolve()}/.envrc")

    asyncio.run(story())
