import json
import os
import sys
from pathlib import Path

import pytest
from tests.cli.installation import Installation

import ringfence
from ringfence.analysis import tool_lock
from ringfence.app.tool_reading import child_environment, read_server
from ringfence.cli.connection import Place
from ringfence.cli.tools.watching import check_live
from ringfence.config.settings import resolve
from ringfence.domain.tool import ToolServer

_SERVER = (sys.executable, "-m", "ringfence.testing.tools", "--stdio")


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = str(Path(ringfence.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([sources, os.environ.get("PYTHONPATH", "")]))


def _configure(installed: Installation, *arguments: str) -> Place:
    path = installed.folder / "ringfence.yaml"
    text = path.read_text(encoding="utf-8").partition("tools:\n")[0]
    command = json.dumps([*_SERVER, *arguments])
    variables = '{PYTHONPATH: "${PYTHONPATH}"}'
    servers = f"tools:\n  crm: {{command: {command}, env: {variables}}}\n"
    path.write_text(text + servers, encoding="utf-8")
    return Place(settings=resolve({}, config=str(path), data=str(installed.data)))


def _lock(installed: Installation, *arguments: str) -> None:
    listed = read_server(
        ToolServer(name="crm", command=(*_SERVER, *arguments)), child_environment()
    )
    path = installed.folder / "ringfence.tools.lock"
    path.write_bytes(tool_lock.write({"crm": listed.tools}))


def test_what_servers_list_now_is_held_against_the_lock(stopped: Installation) -> None:
    _lock(stopped)
    good = check_live(_configure(stopped))
    assert (good.drift, good.problems) == ([], [])
    assert good.tools > 10
    extra = json.dumps([{"name": "exfiltrate", "inputSchema": {"type": "object"}}])
    changed = check_live(_configure(stopped, "--extra", extra))
    assert [(each.name, each.state) for each in changed.drift] == [("crm__exfiltrate", "new")]


def test_the_command_exits_1_on_drift_and_needs_no_plane(stopped: Installation) -> None:
    _lock(stopped)
    _configure(stopped)
    assert stopped.call("tools", "lock", "--check", "--live").code == 0
    _configure(stopped, "--extra", '[{"name": "more", "inputSchema": {}}]')
    result = stopped.call("tools", "lock", "--check", "--live", "--json")
    assert result.code == 1
    assert result.json()["drift"][0]["name"] == "crm__more"
    assert not stopped.data.exists() or not (stopped.data / "state.db").exists()
    assert stopped.call("tools", "lock", "--live").code == 2


def test_what_cannot_be_compared_is_a_problem(stopped: Installation) -> None:
    without = check_live(_configure(stopped))
    assert without.problems == ["there is no lock file: `ringfence tools lock` writes one"]
    _lock(stopped)
    place = _configure(stopped)
    path = stopped.folder / "ringfence.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("--stdio", "--no-such-option"), encoding="utf-8"
    )
    assert check_live(place).problems == [
        "`crm` cannot be read: the command ended before it had listed its tools"
    ]
    text = path.read_text(encoding="utf-8").partition("tools:\n")[0]
    path.write_text(text, encoding="utf-8")
    assert check_live(place).problems == ["`crm` is locked and is no server"]
