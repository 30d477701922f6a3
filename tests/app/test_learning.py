import pytest

from ringfence.app import learning
from ringfence.app.learning import Learning
from ringfence.app.message import Learned
from ringfence.decisions.breaker import Breaker, State
from ringfence.decisions.input_bound import Evidence
from ringfence.domain.model import UpstreamKey, UpstreamKind
from ringfence.enforcement.provider_object import Kept


def kept(name: str, owner: str = "agt_1") -> Kept:
    return Kept(organisation="org_1", owner=owner, name=name, tokens=5)


def test_what_workers_tell_adds_up() -> None:
    known = Learning()
    known.add(Learned(kept=(kept("resp_1"), kept("resp_2", "agt_2"))))
    known.add(Learned(kept=(kept("resp_1"),), seen=(("org_1", "small", Evidence(highest_ppm=5)),)))
    known.add(Learned(seen=(("org_1", "small", Evidence(highest_ppm=3)),)))
    found = known.all()
    assert {each.name for each in found.kept} == {"resp_1", "resp_2"}
    ((organisation, model, evidence),) = found.seen
    assert (organisation, model, evidence.highest_ppm) == ("org_1", "small", 5)


def test_only_the_newest_objects_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_KEPT", 2)
    known = Learning()
    for name in ("a", "b", "a", "c"):
        known.add(Learned(kept=(kept(name),)))
    assert [each.name for each in known.all().kept] == ["a", "c"]


def test_breakers_that_are_open_are_told_to_who_starts_later() -> None:
    known = Learning()
    key = UpstreamKey("org_1", UpstreamKind.MODEL, "small")
    other = UpstreamKey("org_1", UpstreamKind.CREDENTIAL, "house")
    opened = Breaker(state=State.OPEN, failures=5, opened=1, until_us=9, cause="status 503")
    known.add(Learned(breakers=((key, opened), (other, opened))))
    known.add(Learned(breakers=((other, Breaker()),)))
    assert known.all().breakers == ((key, opened),)
    known.reloaded()
    assert known.all().breakers == ()
