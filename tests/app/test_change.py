from ringfence.api.context import ChangeNote
from ringfence.app.change import change_of
from ringfence.domain.organisation import Configuration


def test_a_note_becomes_an_event_with_its_time_and_configuration() -> None:
    note = ChangeNote(
        organisation="org_acme",
        actor="cli:uid=0",
        what="agent.suspended",
        subject="agt_1",
        detail={"why": "asked"},
    )
    made = change_of(note, Configuration(organisations={}, digest="sha256:1", epoch=7), 2**60)
    assert (made.time_us, made.epoch, made.configuration) == (str(2**60), 7, "sha256:1")
    assert (made.actor, made.what, made.subject) == ("cli:uid=0", "agent.suspended", "agt_1")
    assert made.detail == {"why": "asked"}
