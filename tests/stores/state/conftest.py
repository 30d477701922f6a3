from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringfence.app.storage import storage_at
from ringfence.domain.agent import Agent, Category
from ringfence.domain.organisation import Configuration, Organisation, Role, User
from ringfence.stores.state.configuration import Registration
from ringfence.stores.state.store import StateStore
from ringfence.testing.ids import SequentialIds

OWNER = "owner@acme.example"


Opening = Callable[[], StateStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opening]:
    """One state store as each process opens it; whatever keeps it, the tests beside this hold."""
    database = "sqlite"
    if request.param == "postgresql":
        database = request.getfixturevalue("postgresql_url")
    opened: list[StateStore] = []

    def open_() -> StateStore:
        opened.append(storage_at(tmp_path / "data", database).state())
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def state(opening: Opening) -> StateStore:
    return opening()


@pytest.fixture
def acme(state: StateStore) -> Organisation:
    triage = Agent(name="triage", owner=OWNER, team=None, category=Category.OPEN, purpose="Test.")
    file = Organisation(
        name="acme",
        users={OWNER: User(name=OWNER, roles=frozenset({Role.ADMIN}))},
        agents={"triage": triage},
    )
    loaded = state.configurations.register(
        Configuration(organisations={"acme": file}, digest="sha256:1"),
        Registration(now_us=1, actor="plane", make_id=SequentialIds().make),
    )
    return loaded.organisations["acme"]
