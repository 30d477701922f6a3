from ringfence.api.context import ChangeNote
from ringfence.app.change import change_of
from ringfence.domain.organisation import Configuration, Organisation


def test_a_note_becomes_an_event_with_its_time_and_its_organisations_configuration() -> None:
    note = ChangeNote(
        organisation="org_acme",
        actor="cli:uid=0",
        what="agent.suspended",
        subject="agt_1",
        detail={"why": "asked"},
    )
    both = {
        name: Organisation(name=name, id=f"org_{name}", digest=f"sha256:{number}")
        for number, name in enumerate(("evil", "acme"))
    }
    made = change_of(note, Configuration(organisations=both, digest="sha256:9", epoch=7), 2**60)
    assert (made.time_us, made.epoch, made.configuration) == (str(2**60), 7, "sha256:1")
    assert (made.actor, made.what, made.subject) == ("cli:uid=0", "agent.suspended", "agt_1")
    assert made.detail == {"why": "asked"}
