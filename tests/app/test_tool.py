import asyncio
from pathlib import Path

import pytest
from tests.tools import Keeping, listing, tool

from ringfence.app.tool import AtOnce, ToolArchive
from ringfence.domain.tool_source import ToolSource
from ringfence.stores.state.store import open_state


def _sources() -> list[ToolSource]:
    keeping = Keeping()
    keeping.custody.seen(listing(tool("get"), seen_us=1))
    keeping.custody.seen(listing(tool("get"), tool("put"), seen_us=2))
    return keeping.archive.sources


def test_what_is_told_is_written_in_order(tmp_path: Path) -> None:
    state = open_state(tmp_path / "data")
    archive = ToolArchive(state.tools)
    for source in _sources():
        archive.keep(source)
    asyncio.run(archive.settle())
    assert state.tools.all() == (_sources()[-1],)
    assert len(state.tools.history("org_acme", "crm", "put")) == 1
    archive.close()
    state.close()


def test_a_store_that_does_not_answer_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = open_state(tmp_path / "data")
    with state.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE tool_versions")
    archive = ToolArchive(state.tools)
    archive.keep(_sources()[0])
    archive.close()
    assert "could not be written" in caplog.text
    state.close()


def test_without_a_plane_it_is_written_at_once(tmp_path: Path) -> None:
    state = open_state(tmp_path / "data")
    AtOnce(state.tools).keep(_sources()[0])
    assert state.tools.all() == (_sources()[0],)
    state.close()
