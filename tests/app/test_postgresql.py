import asyncio
from pathlib import Path

import pytest
from tests.app.installation import Answer, Installation, plane, provider
from tests.postgresql import server

from ringfence.app.postgresql import open_storage
from ringfence.app.storage import storage_of
from ringfence.domain.event import Intent, Outcome
from ringfence.stores.body import BodyReader, Part
from ringfence.stores.verification import Kept, Outside, verify_folder
from ringfence.testing.ids import SequentialIds


def test_planes_on_one_database_write_logs_of_their_own_and_find_them_again(
    postgresql_url: str, tmp_path: Path
) -> None:
    ids = SequentialIds()
    planes = [open_storage(tmp_path / name, postgresql_url) for name in "ab"]
    logs = planes[0].logs()
    taken = [plane.take_log(logs, ids) for plane in planes]
    beside = planes[0].take_log(logs, ids)  # the same plane twice: a second log of its own
    names = [held.log_id for held in (*taken, beside)]
    assert len(set(names)) == 3
    for held in (*taken, beside):
        held.release()
    again = [plane.take_log(logs, ids) for plane in planes]
    assert [held.log_id for held in again] == [names[2], names[1]]
    assert logs.ids() == sorted(names)
    for held in again:
        held.release()
    logs.close()


def test_a_plane_s_folder_is_its_owner_s_alone_here_too(
    postgresql_url: str, tmp_path: Path
) -> None:
    storage = open_storage(tmp_path / "data", postgresql_url)
    storage.state().close()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def until(installed: Installation, status: int) -> None:
    """Wait until the plane says that it is ready, or that it is not."""
    async with asyncio.timeout(60):
        while (await installed.send("GET", "/readyz")).status != status:  # noqa: ASYNC110 (as asked)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_plane_keeps_everything_in_its_database_over_a_restart(
    postgresql_url: str, tmp_path: Path, workers: int
) -> None:
    installed = Installation(tmp_path, workers=workers, database=postgresql_url)

    async def story() -> None:
        async with provider() as there:
            installed.configure(there.url)
            installed.give_token()
            answers: list[Answer] = []
            for turn in range(2):
                async with plane(installed):
                    answers = [await installed.ask(f"question {turn}{n}") for n in range(6)]
                    assert [answer.status for answer in answers] == [200] * 6
            organisation = installed.give_ids()
        storage = storage_of(installed.settings)
        shelves = storage.shelves()
        bodies = BodyReader(shelves)
        action = answers[-1].headers["ringfence-action"]
        said = bodies.get(organisation, action, Part.REQUEST)
        assert said is not None
        assert b"question 15" in said
        bodies.close()
        logs = storage.logs()
        assert len(logs.ids()) == 1 + workers
        assert logs.search(organisation, "question 15", limit=9)[0] == action
        kept = Kept(logs=logs, shelves=shelves)
        report = verify_folder(installed.data, Outside(), is_running=False, kept=kept)
        assert report.holds, report.findings
        shelves.close()

    asyncio.run(story())
    events = installed.events()
    assert sum(isinstance(event, Intent) for event in events) == 12
    assert sum(isinstance(event, Outcome) for event in events) == 12
    assert not (installed.data / "state.db").exists()
    assert not (installed.data / "ledger").exists()
    assert not (installed.data / "bodies").exists()


def test_while_the_database_is_away_calls_are_refused_and_afterwards_served(
    tmp_path: Path,
) -> None:
    if server.own_missing():
        pytest.skip(server.own_missing())

    async def story(running: server.Server) -> None:
        installed = Installation(tmp_path, database=running.url)
        async with provider() as there:
            installed.configure(there.url)
            installed.give_token()
            async with plane(installed):
                assert (await installed.ask()).status == 200
                await asyncio.to_thread(running.kill)
                refused = await installed.ask()
                assert (refused.status, refused.code) == (503, "store_unavailable")
                await until(installed, 503)
                assert there.journal.total == 1
                await asyncio.to_thread(running.start)
                await until(installed, 200)
                assert (await installed.ask()).status == 200
                assert there.journal.total == 2
        events = installed.events()
        intents = [event.action for event in events if isinstance(event, Intent)]
        outcomes = [event.action for event in events if isinstance(event, Outcome)]
        assert len(intents) == 2
        assert sorted(intents) == sorted(outcomes)

    with server.serving(is_durable=True) as running:
        asyncio.run(story(running))


def test_another_machine_s_plane_takes_over_what_the_first_has_left(
    postgresql_url: str, tmp_path: Path
) -> None:
    first, second = (
        Installation(tmp_path / name, database=postgresql_url) for name in ("one", "two")
    )

    async def story() -> None:
        async with provider() as there:
            for installed in (first, second):
                installed.folder.mkdir()
                installed.configure(there.url)
            first.give_token()
            run = {"ringfence-invocation": "ticket-7"}
            async with plane(first):
                before = await first.ask(headers=run)
                assert before.status == 200
            async with plane(second):
                after = await second.ask(headers=run)
                assert after.status == 200
                name = "ringfence-invocation"
                assert after.headers[name] == before.headers[name]

    asyncio.run(story())
