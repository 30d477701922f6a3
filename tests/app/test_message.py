from pathlib import Path

import msgspec
from tests.app.installation import Installation

from ringfence.app.change_message import Configure, SecretsChange, StateChange
from ringfence.app.group import Place
from ringfence.app.message import Message, Start
from ringfence.decisions.input_bound import Evidence
from ringfence.domain.agent import AgentState
from ringfence.domain.credential import AgentCredential
from ringfence.domain.organisation import Configuration
from ringfence.domain.secret import SecretValue
from ringfence.stores.ledger.experience import ProviderObject

DECODER = msgspec.msgpack.Decoder(Message)


def through(message: Message) -> Message:
    found: Message = DECODER.decode(msgspec.msgpack.encode(message))
    return found


def test_a_configuration_arrives_as_it_was_decided(tmp_path: Path) -> None:
    installed = Installation(tmp_path)
    installed.configure("http://127.0.0.1:9")
    configuration = installed.give_token()
    agent = configuration.organisations["acme"].agents["triage"].id
    start = Start(
        worker=1,
        data="data",
        log="log_1",
        place=Place(host="127.0.0.1", port=1),
        configure=Configure(
            change=7,
            configuration=configuration,
            states={agent: AgentState.SUSPENDED},
            secrets=frozenset({"PROVIDER_KEY"}),
        ),
        credentials=(
            AgentCredential(
                id="crd_1", organisation="org_1", agent=agent, digest=b"\x00\xff", created_us=1
            ),
        ),
        evidence=(("org_1", "small", Evidence(calls=1, bytes=2, highest_ppm=3)),),
        objects=(ProviderObject("org_1", agent, "resp_1", 5, 6),),
    )
    assert through(start) == start
    assert b"canary" not in msgspec.msgpack.encode(start)


def test_every_message_keeps_its_kind() -> None:
    change = StateChange(change=1, organisation="org_1", agent="agt_1", state=AgentState.RETIRED)
    assert through(change) == change
    assert type(through(change)) is StateChange


def test_values_of_secrets_arrive_and_are_shown_by_no_message() -> None:
    value = SecretValue(organisation="acme", name="crm", value="canary-0123456789")
    change = SecretsChange(change=2, secrets=frozenset({"KEY"}), values=(value,))
    configure = Configure(
        change=1,
        configuration=Configuration(organisations={}, digest=""),
        states={},
        secrets=frozenset({"KEY"}),
        values=(value,),
    )
    for message in (change, configure):
        assert through(message) == message
        assert "canary" not in repr(message)
        assert "acme/crm" in repr(message)
