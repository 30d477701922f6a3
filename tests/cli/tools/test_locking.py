from pathlib import Path

import pytest
from tests.cli.installation import Installation
from tests.cli.tools.test_command import see
from tests.tools import tool

from ringfence.analysis import tool_lock
from ringfence.cli.connection import Place
from ringfence.cli.tools.locking import check_seen, lock_tools
from ringfence.config.settings import resolve
from ringfence.domain.error import UsageError


@pytest.fixture
def place(stopped: Installation) -> Place:
    """Where a server `crm` has listed a tool."""
    path = stopped.folder / "ringfence.yaml"
    servers = "tools:\n  crm: {url: https://crm.example/mcp}\n"
    path.write_text(path.read_text(encoding="utf-8") + servers, encoding="utf-8")
    assert stopped.call("agent", "token", "triage").code == 0
    see(stopped, tool("put"))
    return Place(settings=resolve({}, config=str(path), data=str(stopped.data)))


def test_the_lock_is_written_whole_beside_the_configuration(place: Place) -> None:
    done = lock_tools(place, (), "")
    path = Path(done.path)
    assert path == place.settings.config.with_suffix(".tools.lock")
    assert (done.tools, done.servers, done.is_in_force) == (1, 1, False)
    assert path.stat().st_mode & 0o777 == 0o644
    assert tool_lock.read(path.read_bytes()) == {
        "crm": tool_lock.read(tool_lock.write({"crm": [tool("put")]}))["crm"]
    }
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".ring")] in (
        [],
        [".ringfence"],
    )
    assert check_seen(place).drift == []


def test_a_place_that_cannot_be_written_is_told(place: Place) -> None:
    place.settings.config.with_suffix(".tools.lock").mkdir()
    with pytest.raises(UsageError):
        lock_tools(place, (), "")
