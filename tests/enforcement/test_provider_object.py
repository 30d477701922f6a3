import pytest
from tests.gateways.world import agent, organisation

from ringfence.domain.exchange import Answer
from ringfence.domain.usage import Usage
from ringfence.enforcement import provider_object
from ringfence.enforcement.provider_object import ProviderObjects
from ringfence.enforcement.runtime import AgentRuntime

USED = Usage(input_tokens=40, output_tokens=60)


def runtime(name: str = "triage", group: str | None = None, org: str = "org_acme") -> AgentRuntime:
    return AgentRuntime(organisation(id=org), agent(name, provider_storage=group))


def test_an_answer_and_its_items_belong_to_the_agent_that_made_them() -> None:
    objects = ProviderObjects()
    mine = runtime()
    answer = Answer(usage=USED, provider_object="resp_1", provider_items=("msg_1", "rs_1"))
    objects.note(mine, answer)
    assert objects.owned(mine) == {"resp_1": 100, "msg_1": 100, "rs_1": 100}
    assert objects.owned(runtime("other")) == {}


def test_a_storage_group_shares_within_its_organisation() -> None:
    objects = ProviderObjects()
    objects.note(runtime("a", "desk"), Answer(usage=USED, provider_object="resp_1"))
    assert "resp_1" in objects.owned(runtime("b", "desk"))
    assert objects.owned(runtime("a", "desk", "org_other")) == {}
    assert objects.owned(runtime("a")) == {}
    # A group cannot be given the name of an agent.
    assert objects.owned(runtime("c", "agt_a")) == {}


@pytest.mark.parametrize("usage", [None, Usage(input_tokens=1, output_tokens=1, estimated=True)])
def test_what_has_no_bound_stays_unknown(usage: Usage | None) -> None:
    objects = ProviderObjects()
    objects.note(runtime(), Answer(usage=usage, provider_object="resp_1"))
    assert objects.owned(runtime()) == {}


def test_memory_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_object, "KEPT_PER_OWNER", 2)
    objects = ProviderObjects()
    for name in ("a", "b", "a", "c"):
        objects.note(runtime(), Answer(usage=USED, provider_object=name))
    assert set(objects.owned(runtime())) == {"a", "c"}


def test_a_restored_object_belongs_to_its_agent_or_group() -> None:
    objects = ProviderObjects()
    objects.restore(runtime("a", "desk"), "resp_1", 70)
    objects.restore(runtime(), "resp_2", 80)
    assert objects.owned(runtime("b", "desk")) == {"resp_1": 70}
    assert objects.owned(runtime()) == {"resp_2": 80}


def test_owners_are_bounded_within_their_organisation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_object, "OWNERS_PER_ORGANISATION", 2)
    objects = ProviderObjects()
    objects.restore(runtime("first", org="org_other"), "resp_0", 1)
    for name in ("a", "b", "a", "c"):
        objects.restore(runtime(name), f"resp_{name}", 1)
    assert objects.owned(runtime("b")) == {}
    assert objects.owned(runtime("a")) == {"resp_a": 1}
    assert objects.owned(runtime("c")) == {"resp_c": 1}
    assert objects.owned(runtime("first", org="org_other")) == {"resp_0": 1}


def test_what_one_worker_sees_made_another_knows() -> None:
    here, there = ProviderObjects(), ProviderObjects()
    here.on_note = there.keep
    here.note(runtime(), Answer(usage=USED, provider_object="resp_1", provider_items=("msg_1",)))
    assert there.owned(runtime()) == here.owned(runtime()) == {"resp_1": 100, "msg_1": 100}
    assert there.owned(runtime("other")) == {}
    there.restore(runtime(), "resp_2", 1)
    assert "resp_2" not in here.owned(runtime())
