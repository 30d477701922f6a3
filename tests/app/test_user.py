import asyncio
from pathlib import Path

import pytest

from ringfence.app import user as module
from ringfence.app.user import StoredUsers
from ringfence.domain.error import UnavailableError
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.stores.state.configuration import Registration
from ringfence.stores.state.store import StateStore, open_state
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds


def registered(folder: Path, ids: SequentialIds) -> tuple[StateStore, str]:
    state = open_state(folder)
    file = Configuration(organisations={"acme": Organisation(name="acme")}, digest="sha256:1")
    made = state.configurations.register(
        file, Registration(now_us=1, actor="plane", make_id=ids.make)
    )
    return state, made.organisations["acme"].id


def test_a_user_has_one_id_however_often_they_are_seen_for_the_first_time(tmp_path: Path) -> None:
    ids = SequentialIds()
    state, acme = registered(tmp_path, ids)

    async def story() -> None:
        one, other = (StoredUsers(state, ManualClock(), ids) for _ in range(2))
        asking = [each.user_id(acme, "ann") for each in (one, other) for _ in range(10)]
        assert len(set(await asyncio.gather(*asking))) == 1
        assert await one.user_id(acme, "bob") != await one.user_id(acme, "ann")

    asyncio.run(story())
    assert set(state.users.names(acme).values()) == {"ann", "bob"}
    state.close()


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 2)
    ids = SequentialIds()
    state, acme = registered(tmp_path, ids)

    async def story() -> None:
        users = StoredUsers(state, ManualClock(), ids)
        first = [await users.user_id(acme, name) for name in "abcd"]
        assert [await users.user_id(acme, name) for name in "abcd"] == first

    asyncio.run(story())
    state.close()


def test_a_store_that_is_slow_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_S", 0.0)
    ids = SequentialIds()
    state, acme = registered(tmp_path, ids)
    with pytest.raises(UnavailableError):
        asyncio.run(StoredUsers(state, ManualClock(), ids).user_id(acme, "ann"))
    state.close()
