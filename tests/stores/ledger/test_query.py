import pytest
from tests.stores.ledger.event import START_US, change, intent, observation, outcome, refusal

from ringfence.domain.error import UsageError
from ringfence.domain.event import AnyEvent
from ringfence.protocols import canonical
from ringfence.stores.ledger.query import Filter, Matcher, Place

ONE = intent("act_1")
EVENTS: dict[str, AnyEvent] = {
    "intent": ONE,
    "outcome": outcome(ONE, time_us=START_US + 1),
    "refusal": refusal("act_2", invocation="inv_2", time_us=START_US + 2),
    "change": change("invocation.stopped", "agt_1", time_us=START_US + 3),
    "sight": observation("act_3", invocation="inv_3", time_us=START_US + 9),
}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (Filter(organisation="org_a"), "intent outcome refusal change sight"),
        (Filter(organisation="org_a", kind="observation"), "sight"),
        (Filter(organisation="org_a", code="dns.query"), "sight"),
        (Filter(organisation="org_b"), ""),
        (Filter(organisation="org_a", kind="outcome"), "outcome"),
        (Filter(organisation="org_a", agent="agt_1"), "intent outcome refusal change sight"),
        (Filter(organisation="org_a", agent="name_1"), "intent outcome refusal sight"),
        (Filter(organisation="org_a", agent="agt_2"), ""),
        (Filter(organisation="org_a", verdict="allow"), "intent"),
        (Filter(organisation="org_a", verdict="deny"), "refusal"),
        (Filter(organisation="org_a", code="budget_exhausted"), "refusal"),
        (Filter(organisation="org_a", code="ok"), "outcome"),
        (Filter(organisation="org_a", code="invocation.stopped"), "change"),
        (Filter(organisation="org_a", invocation="inv_2"), "refusal"),
        (Filter(organisation="org_a", action="act_1"), "intent outcome"),
        (Filter(organisation="org_a", action_kind="model.call"), "intent refusal"),
        (Filter(organisation="org_a", action_kind="shell.exec"), ""),
        (Filter(organisation="org_a", resource="small"), "intent refusal"),
        (Filter(organisation="org_a", resource="smal"), ""),
        (Filter(organisation="org_a", sandbox="sbx_1"), "sight"),
        (Filter(organisation="org_a", since_us=START_US + 2), "refusal change sight"),
        (Filter(organisation="org_a", until_us=START_US + 2), "intent outcome"),
        (
            Filter(organisation="org_a", since_us=START_US + 1, until_us=START_US + 2),
            "outcome",
        ),
    ],
)
def test_a_filter_takes_what_is_asked_for_and_nothing_else(asked: Filter, found: str) -> None:
    matcher = Matcher(asked)
    taken = [name for name, event in EVENTS.items() if matcher.has(canonical.encode(event))]
    assert taken == found.split()


@pytest.mark.parametrize(("agent", "has"), [("agt_1", True), ("triage", True), ("agt_2", False)])
def test_a_finding_is_found_by_the_agent_in_whose_run_it_was_noticed(
    agent: str,
    has: bool,  # noqa: FBT001 (a case)
) -> None:
    detail = {"times": "3", "agent": "agt_1", "agent_name": "triage"}
    finding = canonical.encode(change("finding.loop", "inv_1", detail=detail))
    assert Matcher(Filter(organisation="org_a", agent=agent)).has(finding) is has


def test_a_finding_is_a_change_that_can_be_asked_for_alone() -> None:
    finding = canonical.encode(change("finding.loop", "inv_1", detail={"times": "3"}))
    plain = canonical.encode(EVENTS["change"])
    alone, both = (Matcher(Filter(organisation="org_a", kind=k)) for k in ("finding", "change"))
    assert (alone.has(finding), alone.has(plain)) == (True, False)
    assert (both.has(finding), both.has(plain)) == (True, True)


def test_a_text_stands_for_the_actions_that_brought_it() -> None:
    matcher = Matcher(Filter(organisation="org_a", text="refund"), frozenset({"act_1"}))
    taken = [name for name, event in EVENTS.items() if matcher.has(canonical.encode(event))]
    assert taken == ["intent", "outcome"]


def test_words_inside_other_fields_deceive_no_filter() -> None:
    """The leaf contains `"organisation":"org_b"`, but is not of org_b."""
    sly = change("agent.suspended", "agt_1", detail={"organisation": "org_b", "kind": "refusal"})
    leaf = canonical.encode(sly)
    assert not Matcher(Filter(organisation="org_b")).has(leaf)
    assert not Matcher(Filter(organisation="org_a", kind="refusal")).has(leaf)
    assert Matcher(Filter(organisation="org_a")).has(leaf)


def test_a_name_that_needs_escaping_is_found() -> None:
    named = refusal("act_1", invocation='in"v\n')
    asked = Filter(organisation="org_a", invocation='in"v\n')
    assert Matcher(asked).has(canonical.encode(named))


def test_a_cursor_names_a_place() -> None:
    place = Place(START_US, "log_1", 7)
    assert Place.parse(str(place)) == place
    assert place < Place(START_US, "log_1", 10) < Place(START_US, "log_2", 1)


@pytest.mark.parametrize("cursor", ["", "7", "a:log:1", "1:log:b", "1:2:3:4"])
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(UsageError) as caught:
        Place.parse(cursor)
    assert caught.value.code == "cursor_malformed"
