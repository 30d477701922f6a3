import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
from tests.gateways.world import organisation

from ringfence.app.note import PlaneNotes
from ringfence.app.storage import Files
from ringfence.app.stores import open_stores
from ringfence.domain.event import Change
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.stores.backup import RESTORED, Restored
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger import LedgerReader
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

ACME = organisation()
OTHER = replace(ACME, id="org_other", digest="sha256:other")


def configuration(*organisations: Organisation, epoch: int = 1) -> Configuration:
    named = {each.id: each for each in organisations}
    return Configuration(organisations=named, digest="sha256:1", epoch=epoch)


def told(folder: Path, story: Callable[[PlaneNotes], Awaitable[None]]) -> list[Change]:
    """What stands on the record of both organisations after a plane has told it."""
    files = Files(folder)

    async def tell() -> None:
        stores = open_stores(files, ManualClock(), SequentialIds(), SigningKeys(folder))
        await story(PlaneNotes(stores.ledger, ManualClock(), lambda: configuration(ACME, OTHER)))
        await stores.close()

    asyncio.run(tell())
    with closing(LedgerReader(files.logs())) as reader:
        written = [b"".join(reader.export(each.id)) for each in (ACME, OTHER)]
    lines = b"".join(written).splitlines()
    return [msgspec.json.decode(line, type=Change) for line in lines]


def test_an_epoch_is_recorded_where_something_has_changed(tmp_path: Path) -> None:
    before, now = configuration(ACME, OTHER), replace(ACME, digest="sha256:new")

    async def story(notes: PlaneNotes) -> None:
        await notes.epoch(configuration(now, OTHER, epoch=2), "user:ann", before)

    [change] = told(tmp_path, story)
    assert (change.organisation, change.what, change.actor) == (
        ACME.id,
        "configuration.loaded",
        "user:ann",
    )
    assert change.detail == {"epoch": "2"}


def test_the_first_epoch_is_recorded_everywhere(tmp_path: Path) -> None:
    async def story(notes: PlaneNotes) -> None:
        await notes.epoch(configuration(ACME, OTHER), "plane")

    assert {each.organisation for each in told(tmp_path, story)} == {ACME.id, OTHER.id}


def test_a_warning_concerns_everybody(tmp_path: Path) -> None:
    async def story(notes: PlaneNotes) -> None:
        notes.warning("warning.raised", "disk_full", "there is no room")

    changes = told(tmp_path, story)
    assert {each.organisation for each in changes} == {ACME.id, OTHER.id}
    assert {(each.subject, each.detail["why"]) for each in changes} == {
        ("disk_full", "there is no room")
    }


def test_a_restored_folder_is_told_of_once(tmp_path: Path) -> None:
    async def story(notes: PlaneNotes) -> None:
        await notes.restored(tmp_path)
        marker = Restored(created_us="1", restored_us="2")
        (tmp_path / RESTORED).write_bytes(msgspec.json.encode(marker))
        await notes.restored(tmp_path)
        await notes.restored(tmp_path)

    changes = told(tmp_path, story)
    assert [(each.what, each.detail) for each in changes] == [
        ("installation.restored", {"backup_us": "1", "restored_us": "2"})
    ] * 2
