from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.installation import (
    HOSTILE,
    SECRET,
    SECRET_NAME,
    Installation,
    running,
    serving_model,
    write_configuration,
)


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_NAME, SECRET)
    for name in ("RINGFENCE_CONFIG", "RINGFENCE_DATA", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A plane with two traces: a conversation, and a call that its budget refused."""
    with (
        serving_model() as url,
        running(tmp_path_factory.mktemp("running"), url) as installed,
    ):
        installed.token = installed.call("agent", "token", "triage").out.strip()
        status, _ = installed.ask(f"Hello there {HOSTILE}")
        assert status == 200
        poor = installed.call("agent", "token", "poor").out.strip()
        status, _ = installed.ask("too dear", token=poor)
        assert status == 402
        yield installed


@pytest.fixture
def stopped(tmp_path: Path) -> Installation:
    """A configuration, and no plane."""
    write_configuration(tmp_path)
    return Installation(tmp_path)
