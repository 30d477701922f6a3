from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.domain.agent import Agent, Category
from ringfence.domain.organisation import Configuration, Organisation, Role, User
from ringfence.stores.state.configuration import Registration
from ringfence.stores.state.store import StateStore, open_state
from ringfence.testing.ids import SequentialIds

OWNER = "owner@acme.example"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateStore]:
    store = open_state(tmp_path / "data")
    yield store
    store.close()


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
