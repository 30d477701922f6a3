"""Whoever starts later begins with what the others were told, in whatever order it came."""

from pathlib import Path

from tests.app.beginning import beginning, epoch
from tests.approvals import desk
from tests.gateways.world import MemoryLedger

from ringfence.app.belief import Belief
from ringfence.app.group import Place
from ringfence.app.message import Learned, Start
from ringfence.domain.agent import AgentState
from ringfence.domain.credential import AgentCredential
from ringfence.domain.secret import SecretValue
from ringfence.stores.ledger import Recovered
from ringfence.stores.ledger.experience import ProviderObject
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds


def credential(id_: str, digest: bytes = b"d") -> AgentCredential:
    return AgentCredential(
        id=id_, organisation="org_acme", agent="agt_triage", digest=digest, created_us=0
    )


def belief(*credentials: AgentCredential, recovered: Recovered | None = None) -> Belief:
    people = desk(ManualClock(), SequentialIds())
    begun = beginning(MemoryLedger(), people, credentials=credentials, recovered=recovered)
    return Belief(begun, Path("data"))


def start(believed: Belief) -> Start:
    place = Place(host="127.0.0.1", port=1)
    return believed.start(
        worker=2,
        workers=3,
        log="log_2",
        place=place,
        learned=Learned(),
        opened=(),
        tools=(),
    )


def test_a_worker_begins_with_what_the_plane_begins_with() -> None:
    kept = ProviderObject(
        organisation="org_acme", agent="agt_triage", name="resp_1", tokens=1, time_us=1
    )
    told = start(belief(credential("crd_1"), recovered=Recovered(objects=[kept])))
    assert (told.worker, told.workers, told.log, told.data) == (2, 3, "log_2", "data")
    assert told.credentials == (credential("crd_1"),)
    assert told.objects == (kept,)
    assert told.configure.change == 1


def test_every_change_has_the_next_number_and_one_that_starts_has_the_last() -> None:
    believed = belief()
    numbers = [
        believed.configured(epoch(number=2)).change,
        believed.secrets_changed(EnvironmentSecrets(frozenset(), {})).change,
        believed.credentials_changed([credential("crd_1")]).change,
        believed.state_changed("org_acme", "agt_triage", AgentState.SUSPENDED).change,
    ]
    assert numbers == [2, 3, 4, 5]
    assert believed.change == start(believed).configure.change == 5


def test_what_was_changed_is_what_the_next_begins_with() -> None:
    believed = belief(credential("crd_1"), credential("crd_2"))
    value = SecretValue(organisation="acme", name="stored", value="s3cret")
    believed.secrets_changed(EnvironmentSecrets(frozenset({"KEY"}), {"KEY": "k"}, [value]))
    believed.credentials_changed([credential("crd_2", b"rotated"), credential("crd_3")])
    believed.state_changed("org_acme", "agt_triage", AgentState.SUSPENDED)
    told = start(believed)
    assert told.configure.secrets == {"KEY"}
    assert told.configure.values == (value,)
    assert told.configure.states == {"agt_triage": AgentState.SUSPENDED}
    assert [(each.id, each.digest) for each in told.credentials] == [
        ("crd_1", b"d"),
        ("crd_2", b"rotated"),
        ("crd_3", b"d"),
    ]


def test_a_new_epoch_states_everything_anew() -> None:
    believed = belief()
    believed.state_changed("org_acme", "agt_triage", AgentState.SUSPENDED)
    believed.configured(epoch(number=2))
    told = start(believed)
    assert told.configure.configuration.epoch == 2
    assert told.configure.states == {}


def test_all_workers_of_a_plane_seal_with_one_key() -> None:
    believed = belief()
    assert start(believed).seal_key == start(believed).seal_key != b""
    assert start(belief()).seal_key != start(believed).seal_key
