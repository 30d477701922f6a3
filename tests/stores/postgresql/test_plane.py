import threading
import time
from collections.abc import Iterator

import pytest
from tests.gateways.world import organisation
from tests.postgresql.server import execute

from ringfence.domain.caller import CallerTier
from ringfence.domain.credential import AgentCredential
from ringfence.domain.error import UsageError
from ringfence.domain.organisation import Configuration
from ringfence.stores.plane import Beat, ChangeKind
from ringfence.stores.postgresql.address import Address
from ringfence.stores.postgresql.plane import PostgresMembership, read_seed
from ringfence.stores.postgresql.state import open_state
from ringfence.stores.state.configuration import Registration
from ringfence.stores.state.store import StateStore
from ringfence.stores.state.token import TokenRecord
from ringfence.testing.ids import SequentialIds


@pytest.fixture
def address(postgresql_url: str) -> Address:
    return Address.parse(postgresql_url)


@pytest.fixture
def state(address: Address) -> Iterator[StateStore]:
    opened = open_state(address)
    yield opened
    opened.close()


@pytest.fixture
def planes(address: Address, state: StateStore) -> Iterator[list[PostgresMembership]]:
    del state
    made = [PostgresMembership(address, name) for name in ("one", "two")]
    yield made
    for each in made:
        each.close()


def said(taken: int, epoch: int) -> Beat:
    return Beat(taken=taken, epoch=epoch, configuration=f"sha256:{epoch}", keeps_journal=True)


def test_a_plane_hears_of_the_others_and_of_what_has_changed_in_the_state_store(
    planes: list[PostgresMembership], state: StateStore
) -> None:
    one, two = planes
    one.join(["log_1"], "sha256:1", 5.0)
    joined = two.join(["log_2"], "sha256:1", 5.0)
    assert [(each.plane, each.logs) for each in joined.members] == [
        ("one", ("log_1",)),
        ("two", ("log_2",)),
    ]
    known = state.configurations.register(
        Configuration(organisations={"acme": organisation()}, digest="sha256:1"),
        Registration(now_us=1, actor="test", make_id=SequentialIds().make),
    )
    acme = known.organisations["acme"]
    agent = acme.agents["triage"].id
    credential = AgentCredential(
        id="crd_1",
        organisation=acme.id,
        agent=agent,
        digest=b"d",
        created_us=1,
        tier=CallerTier.API,
    )
    state.tokens.add(TokenRecord(credential=credential, label="", created_by="test"))
    news = one.beat(joined.head, said(3, 2))
    told = [(note.kind, note.organisation, note.subject) for note in news.state]
    assert told == [
        (ChangeKind.AGENT, acme.id, agent),
        (ChangeKind.CREDENTIAL, acme.id, "crd_1"),
    ]
    assert news.head > joined.head
    assert one.head() == news.head
    assert abs(news.now_us - time.time_ns() // 1000) < 2_000_000
    again = two.beat(news.head, said(0, 1))
    assert again.state == []
    [first, _] = again.members
    assert (first.taken, first.epoch, first.configuration) == (3, 2, "sha256:2")
    assert first.silent_s < 60
    assert first.keeps_journal
    # What every plane has taken is dropped; numbers go on.
    one.beat(0, said(news.head, 2))
    two.beat(0, said(news.head, 1))
    one.tidy()
    assert one.beat(0, said(news.head, 2)).state == []
    state.tokens.revoke(acme.id, agent, "crd_1", now_us=5)
    assert one.beat(news.head, said(news.head, 2)).head > news.head


def test_a_plane_with_another_configuration_does_not_join_one_that_runs(
    planes: list[PostgresMembership],
) -> None:
    one, two = planes
    one.join([], "sha256:1", 5.0)
    with pytest.raises(UsageError) as caught:
        two.join([], "sha256:2", 5.0)
    assert caught.value.code == "configuration_differs"
    assert [each.plane for each in one.members()] == ["one"]
    two.join([], "sha256:2", 0.0)  # nobody was heard of lately enough
    assert len(one.members()) == 2


def test_a_plane_that_was_heard_of_again_is_not_removed_for_its_silence(
    planes: list[PostgresMembership],
) -> None:
    one, two = planes
    for each in (one, two):
        each.join([], "sha256:1", 5.0)
    one.leave("two", is_sure=False)
    assert len(one.members()) == 2
    one.leave("two", is_sure=True)
    assert [each.plane for each in one.members()] == ["one"]


def test_a_server_that_has_just_started_makes_nobody_silent(
    planes: list[PostgresMembership], postgresql_url: str
) -> None:
    one, _ = planes
    one.join([], "sha256:1", 5.0)
    execute(postgresql_url, "UPDATE shared_planes SET beat = now() - interval '1 day'")
    uptime = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8"
    [(up_s,)] = execute(postgresql_url, uptime)
    assert isinstance(up_s, float)
    [member] = one.members()
    assert member.silent_s <= up_s + 5


def test_words_and_changes_wake_every_plane_that_listens(
    planes: list[PostgresMembership], postgresql_url: str
) -> None:
    one, two = planes
    heard: list[str] = []
    is_there = threading.Event()

    def hear(words: str) -> None:
        heard.append(words)
        is_there.set()

    end = two.listen(hear)
    for _ in range(100):
        one.say("hello")
        if is_there.wait(0.1):
            break
    assert heard[0] == "hello"
    is_there.clear()
    heard.clear()
    insert = "INSERT INTO grants VALUES ('o', 'g', 's', 'h', 'day', 0, 1, 1, 'me', '')"
    execute(postgresql_url, insert)
    assert is_there.wait(60)
    assert "" in heard
    end()


def test_the_seed_is_what_the_first_plane_has_drawn(address: Address) -> None:
    assert read_seed(address, "1") == "1"
    assert read_seed(address, "2") == "1"
