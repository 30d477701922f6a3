"""Grouping: calls come together by proof, by id, by conversation, by time, and never across."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.decisions.clue import Clues
from ringfence.decisions.grouping import WINDOW_US, Groups, Join, Open
from ringfence.domain.agent import Agent, Category, InvocationRule, Limits
from ringfence.domain.invocation import Grouping
from ringfence.domain.verdict import Code, Deny, Stop, Throttle

IDLE_US = Limits().idle_seconds * 1_000_000
AGENT = Agent(id="agt_1", name="triage", owner="o@x", team=None, category=Category.OPEN, purpose="")
OTHER = replace(AGENT, id="agt_2", name="other")
DECLARED = replace(AGENT, invocations=InvocationRule.DECLARED)
BARE = Clues(credential="crd_1")
SYSTEM, USER, ANSWER, MORE = b'{"s":1}', b'{"u":1}', b'{"a":1}', b'{"u":2}'

Found = Join | Open | Deny | Stop | Throttle


def header(value: str, credential: str = "crd_1") -> Clues:
    return Clues(credential=credential, header=value)


def said(*messages: bytes, credential: str = "crd_1") -> Clues:
    return Clues(credential=credential, messages=messages)


class Script:
    """Calls one after the other; what must open is opened as `inv_1`, `inv_2`…"""

    def __init__(self) -> None:
        self.groups = Groups()
        self.now = 0
        self.opened = 0

    def find(self, clues: Clues, agent: Agent = AGENT, organisation: str = "org_1") -> Found:
        return self.groups.find(organisation, agent, clues, self.now)

    def call(self, clues: Clues, agent: Agent = AGENT, organisation: str = "org_1") -> str:
        """Which invocation the call got into and by what, for example `inv_1 header`."""
        found = self.find(clues, agent, organisation)
        match found:
            case Join(invocation, grouping):
                return f"{invocation} {grouping.value}"
            case Open(grouping, _):
                invocation = self.open(clues, found, agent, organisation)
                return f"{invocation} {grouping.value} opened"
            case Deny(reason=reason) | Stop(reason=reason) | Throttle(reason=reason):
                return f"{type(found).__name__} {reason.code.value}"

    def open(
        self, clues: Clues, how: Open, agent: Agent = AGENT, organisation: str = "org_1"
    ) -> str:
        self.opened += 1
        invocation = f"inv_{self.opened}"
        self.groups.open(organisation, agent, clues, how, invocation=invocation, now_us=self.now)
        return invocation


def test_an_invocation_token_joins_its_invocation_whatever_else_the_call_says() -> None:
    script = Script()
    clues = Clues(credential="crd_9", invocation="inv_77", header="else", messages=(USER,))
    assert script.call(clues) == "inv_77 token"
    assert script.call(clues, DECLARED) == "inv_77 token"


def test_an_open_root_is_held_as_long_as_its_token_would_join_it() -> None:
    script = Script()
    mine = script.open(BARE, Open(Grouping.TOKEN), AGENT, "org_1")
    script.now += IDLE_US - 1
    assert script.groups.holds(mine, AGENT, script.now)
    script.now += IDLE_US - 1  # what it was called for counts
    assert not script.groups.holds(mine, OTHER, script.now)
    assert not script.groups.holds("inv_9", AGENT, script.now)
    assert script.groups.holds(mine, AGENT, script.now)
    script.now += IDLE_US
    assert not script.groups.holds(mine, AGENT, script.now)
    assert isinstance(script.find(token_of(mine)), Stop)


def test_a_closed_root_is_not_held() -> None:
    script = Script()
    mine = script.open(BARE, Open(Grouping.TOKEN), AGENT, "org_1")
    script.groups.close(mine, script.now)
    assert not script.groups.holds(mine, AGENT, script.now)


def token_of(invocation: str) -> Clues:
    return Clues(credential="crd_1", invocation=invocation)


def test_the_token_of_a_closed_invocation_is_stopped() -> None:
    script = Script()
    assert script.open(BARE, Open(Grouping.TOKEN)) == "inv_1"
    script.groups.close("inv_1", script.now)
    assert script.call(Clues(credential="crd_9", invocation="inv_1")) == "Stop invocation_closed"


def test_an_agent_that_must_declare_is_refused_without_an_invocation_token() -> None:
    script = Script()
    for clues in (BARE, header("run-1"), said(USER)):
        assert script.call(clues, DECLARED) == "Deny invocation_required"


@pytest.mark.parametrize(
    ("clues", "word"),
    [
        (header("run-1"), "header"),
        (Clues(credential="crd_1", trace="4bf92f3577b34da6"), "traceparent"),
        (Clues(credential="crd_1", client="claude-code:1"), "client"),
    ],
)
def test_calls_with_the_same_id_belong_together(clues: Clues, word: str) -> None:
    script = Script()
    assert script.call(clues) == f"inv_1 {word} opened"
    assert script.call(clues) == f"inv_1 {word}"


def test_ids_count_in_their_order_and_before_the_conversation() -> None:
    script = Script()
    everything = Clues(credential="crd_1", header="h", trace="t", client="c", messages=(USER,))
    assert script.call(everything) == "inv_1 header opened"
    assert script.call(replaced(everything, header="")) == "inv_2 traceparent opened"
    assert script.call(replaced(everything, header="", trace="")) == "inv_3 client opened"
    assert script.call(said(USER)) == "inv_4 conversation opened"
    assert script.call(everything) == "inv_1 header"


def replaced(clues: Clues, *, header: str, trace: str | None = None) -> Clues:
    return Clues(
        credential=clues.credential,
        header=header,
        trace=clues.trace if trace is None else trace,
        client=clues.client,
        messages=clues.messages,
    )


def test_the_same_id_means_nothing_to_another_agent_credential_or_organisation() -> None:
    script = Script()
    assert script.call(header("run-1")) == "inv_1 header opened"
    assert script.call(header("run-1"), OTHER) == "inv_2 header opened"
    assert script.call(header("run-1", "crd_2")) == "inv_3 header opened"
    assert script.call(header("run-1"), organisation="org_2") == "inv_4 header opened"
    assert script.call(header("run-1")) == "inv_1 header"


def test_an_id_that_we_gave_out_joins_for_who_got_it() -> None:
    script = Script()
    script.call(said(USER))
    assert script.call(header("inv_1")) == "inv_1 header"


def test_an_id_that_we_gave_to_others_is_refused_in_the_words_for_an_unknown_one() -> None:
    script = Script()
    script.call(said(USER))
    refusals = [
        script.find(header("inv_1"), OTHER),
        script.find(header("inv_9"), OTHER),
        script.find(header("inv_1"), OTHER, "org_2"),
        script.find(header("inv_1", "crd_2"), OTHER),
    ]
    assert all(isinstance(each, Deny) for each in refusals)
    texts = {
        each.reason.message.replace("inv_9", "inv_1") for each in refusals if isinstance(each, Deny)
    }
    assert len(texts) == 1
    assert script.call(header("inv_1", "crd_2")) == "Deny invocation_unknown"


def test_a_closed_id_of_others_is_as_unknown_as_an_open_one() -> None:
    script = Script()
    script.call(said(USER))
    script.groups.close("inv_1", script.now)
    assert script.call(header("inv_1")) == "Stop invocation_closed"
    assert script.call(header("inv_1"), OTHER) == "Deny invocation_unknown"
    assert script.call(header("inv_1", "crd_2")) == "Deny invocation_unknown"


def test_an_id_too_long_to_keep_is_refused() -> None:
    assert Script().call(header("x" * 201)) == "Deny invocation_unknown"
    assert Script().call(header("x" * 200)) == "inv_1 header opened"


@pytest.mark.parametrize("clues", [header("run-1"), said(SYSTEM, USER)])
def test_what_a_closed_invocation_was_known_by_is_stopped(clues: Clues) -> None:
    script = Script()
    script.call(clues)
    script.groups.close("inv_1", script.now)
    assert script.call(clues) == "Stop invocation_closed"
    assert len(script.groups) == 0


def test_a_stop_holds_for_whatever_continues_the_conversation() -> None:
    script = Script()
    script.call(said(SYSTEM, USER))
    script.groups.close("inv_1", script.now)
    assert script.call(said(SYSTEM, USER, ANSWER, MORE)) == "Stop invocation_closed"
    assert script.call(said(SYSTEM, MORE)) == "inv_2 conversation opened"


def test_a_closed_conversation_may_begin_anew_after_a_while_but_a_closed_id_may_not() -> None:
    script = Script()
    script.call(said(SYSTEM, USER))
    script.call(header("run-1"))
    script.groups.close("inv_1", script.now)
    script.groups.close("inv_2", script.now)
    script.now = IDLE_US - 1
    assert script.call(said(SYSTEM, USER)) == "Stop invocation_closed"
    script.now = IDLE_US
    assert script.call(said(SYSTEM, USER)) == "inv_3 conversation opened"
    assert script.call(header("run-1")) == "Stop invocation_closed"


def test_a_conversation_that_extends_an_earlier_one_belongs_to_it() -> None:
    script = Script()
    assert script.call(said(SYSTEM, USER)) == "inv_1 conversation opened"
    assert script.call(said(SYSTEM, USER, ANSWER, MORE)) == "inv_1 conversation"
    assert script.call(said(SYSTEM, USER, ANSWER, MORE, ANSWER, USER)) == "inv_1 conversation"


def test_the_same_conversation_again_is_a_repeat() -> None:
    script = Script()
    script.call(said(SYSTEM, USER))
    assert script.call(said(SYSTEM, USER)) == "inv_1 conversation"


def test_branches_of_one_conversation_stay_together() -> None:
    script = Script()
    script.call(said(SYSTEM, USER))
    assert script.call(said(SYSTEM, USER, ANSWER)) == "inv_1 conversation"
    assert script.call(said(SYSTEM, USER, MORE)) == "inv_1 conversation"


@pytest.mark.parametrize(
    "messages",
    [(SYSTEM,), (SYSTEM, MORE), (USER, SYSTEM), (SYSTEM, MORE, USER), (SYSTEM + USER,)],
)
def test_a_conversation_that_extends_no_earlier_one_opens_its_own(
    messages: tuple[bytes, ...],
) -> None:
    script = Script()
    script.call(said(SYSTEM, USER))
    assert script.call(said(*messages)) == "inv_2 conversation opened"


def test_two_conversations_side_by_side_stay_apart() -> None:
    script = Script()
    script.call(said(SYSTEM, USER))
    script.call(said(SYSTEM, MORE))
    assert script.call(said(SYSTEM, USER, ANSWER, USER)) == "inv_1 conversation"
    assert script.call(said(SYSTEM, MORE, ANSWER, USER)) == "inv_2 conversation"


def test_the_longest_beginning_decides() -> None:
    script = Script()
    assert script.call(said(SYSTEM, USER)) == "inv_1 conversation opened"
    assert script.call(said(SYSTEM)) == "inv_2 conversation opened"
    assert script.call(said(SYSTEM, USER, ANSWER)) == "inv_1 conversation"
    assert script.call(said(SYSTEM, MORE)) == "inv_2 conversation"


def test_a_conversation_means_nothing_to_another_credential() -> None:
    script = Script()
    script.call(said(USER))
    assert script.call(said(USER, ANSWER, credential="crd_2")) == "inv_2 conversation opened"
    assert script.call(said(USER, ANSWER), OTHER) == "inv_3 conversation opened"


def test_only_the_latest_points_of_a_conversation_are_kept() -> None:
    script = Script()
    script.call(said(USER))
    for number in range(8):
        script.call(said(USER, b"%d" % number))
    assert script.call(said(USER, b"7", b"x")) == "inv_1 conversation"
    assert script.call(said(USER)) == "inv_2 conversation opened"


def test_a_call_without_messages_joins_the_only_recent_conversation() -> None:
    script = Script()
    script.call(said(USER))
    script.now = WINDOW_US
    assert script.call(BARE) == "inv_1 time"


def test_a_call_without_messages_joins_nothing_that_is_long_ago() -> None:
    script = Script()
    script.call(said(USER))
    script.now = WINDOW_US + 1
    assert script.call(BARE) == "inv_2 time opened"


def test_between_two_recent_conversations_a_call_without_messages_joins_neither() -> None:
    script = Script()
    script.call(said(USER))
    script.call(said(MORE))
    assert script.call(BARE) == "inv_3 time opened"
    assert script.call(BARE) == "inv_3 time"


def test_a_call_without_messages_joins_nothing_that_has_an_id_of_its_own() -> None:
    script = Script()
    script.call(header("run-1"))
    assert script.call(BARE) == "inv_2 time opened"


def test_a_first_conversation_goes_with_the_calls_that_prepared_it() -> None:
    """An embedding, then the question that was looked up: one run."""
    script = Script()
    assert script.call(BARE) == "inv_1 time opened"
    assert script.call(said(USER)) == "inv_1 time"
    assert script.call(said(USER, ANSWER)) == "inv_1 conversation"
    assert script.call(said(MORE)) == "inv_2 conversation opened"


def test_a_fresh_conversation_within_the_window_opens_its_own_invocation() -> None:
    script = Script()
    script.call(said(USER))
    assert script.call(said(MORE)) == "inv_2 conversation opened"


def test_what_is_left_idle_expires_and_may_begin_anew() -> None:
    script = Script()
    script.call(header("run-1"))
    script.now = IDLE_US - 1
    assert script.call(header("run-1")) == "inv_1 header"
    script.now += IDLE_US
    assert script.call(header("run-1")) == "inv_2 header opened"
    assert script.groups.expire(script.now) == ("inv_1",)
    assert script.groups.expire(script.now) == ()
    assert script.call(header("inv_1")) == "Stop invocation_closed"


def test_a_long_call_keeps_its_invocation_open() -> None:
    script = Script()
    script.call(header("run-1"))
    script.now = IDLE_US - 1
    script.groups.touch("inv_1", script.now)
    script.now += IDLE_US - 1
    assert script.call(header("run-1")) == "inv_1 header"


def test_touching_and_closing_what_is_not_open_does_nothing() -> None:
    script = Script()
    script.groups.touch("inv_9", 0)
    script.groups.close("inv_9", script.now)
    assert len(script.groups) == 0


def narrow(open_invocations: int) -> Agent:
    return replace(AGENT, limits=Limits(open_invocations=open_invocations))


def test_an_agent_opens_no_more_than_its_limit_at_once() -> None:
    script = Script()
    agent = narrow(2)
    script.call(header("run-1"), agent)
    script.now = 10_000_000
    script.call(header("run-2"), agent)
    refused = script.find(header("run-3"), agent)
    assert isinstance(refused, Throttle)
    assert refused.reason.code is Code.RATE_EXCEEDED
    assert refused.retry_after_s == 50.0
    assert script.call(header("run-1"), agent) == "inv_1 header"


def test_the_invocation_idle_longest_gives_way_once_it_is_quiet() -> None:
    script = Script()
    agent = narrow(2)
    script.call(header("run-1"), agent)
    script.now = 1
    script.call(header("run-2"), agent)
    script.now = WINDOW_US
    assert script.call(header("run-3"), agent) == "inv_3 header opened"
    assert script.groups.expire(script.now) == ("inv_1",)
    assert len(script.groups) == 2


def test_a_declared_invocation_never_gives_way() -> None:
    script = Script()
    agent = narrow(1)
    script.open(BARE, Open(Grouping.TOKEN), agent)
    script.now = WINDOW_US * 2
    assert script.call(header("run-2"), agent) == "Throttle rate_exceeded"
    script.groups.close("inv_1", script.now)
    assert script.call(header("run-2"), agent) == "inv_2 header opened"


def test_a_limit_of_nothing_opens_nothing() -> None:
    assert Script().call(said(USER), narrow(0)) == "Throttle rate_exceeded"


def test_opening_the_same_twice_leaves_nothing_behind() -> None:
    """Two equal calls at once, where opening took a moment."""
    script = Script()
    first, second = script.find(said(USER)), script.find(said(USER))
    assert isinstance(first, Open)
    assert isinstance(second, Open)
    script.open(said(USER), first)
    script.open(said(USER), second)
    assert script.call(said(USER)) == "inv_2 conversation"
    script.groups.close("inv_1", script.now)
    assert script.call(said(USER)) == "inv_2 conversation"
    script.groups.close("inv_2", script.now)
    assert len(script.groups) == 0


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    BARE,
                    header("a"),
                    header("b"),
                    said(USER),
                    said(USER, ANSWER),
                    said(MORE),
                    header("inv_1"),
                    header("a", "crd_2"),
                    said(USER, credential="crd_2"),
                ]
            ),
            st.sampled_from([AGENT, OTHER, narrow(2)]),
            st.sampled_from([0, 1, WINDOW_US, IDLE_US]),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_no_call_ever_gets_into_an_invocation_of_others(
    calls: list[tuple[Clues, Agent, int, bool]],
) -> None:
    script = Script()
    owners: dict[str, tuple[str, str]] = {}
    ended: set[str] = set()
    for clues, agent, wait_us, closes in calls:
        script.now += wait_us
        got = script.call(clues, agent).split()
        ended.update(script.groups.expire(script.now))
        if got[0].startswith("inv_"):
            whose = (agent.id, clues.credential)
            assert owners.setdefault(got[0], whose) == whose
            assert got[0] not in ended
            if closes:
                script.groups.close(got[0], script.now)
                ended.add(got[0])
    assert len(script.groups) == len(owners) - len(ended)


def test_memory_is_bounded_however_many_runs_come_and_go() -> None:
    script = Script()
    agent = narrow(10)
    for number in range(3_000):
        script.now += WINDOW_US
        script.call(said(b"%d" % number), agent)
    assert len(script.groups) <= 10
    assert len(script.groups.expire(script.now)) == 3_000 - len(script.groups)


def test_memory_is_bounded_however_many_users_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.decisions.run_memory._CALLERS_KEPT", 10)
    script = Script()
    first = script.call(said(USER, credential="crd_1 first"), narrow(10_000)).split()[0]
    for number in range(100):
        script.now += 1
        opened = script.call(said(USER, credential=f"crd_1 user_{number}"), narrow(10_000))
        script.groups.close(opened.split()[0], script.now)
    [owner] = script.groups._owners.values()  # noqa: SLF001 (what is kept shows nowhere else)
    assert len(owner.callers) == 10
    assert script.call(said(USER, credential="crd_1 first"), narrow(10_000)).split()[0] == first


def test_what_is_surely_known_is_joined_and_nothing_else() -> None:
    groups, clues = Groups(), Clues(credential="crd_1", messages=(USER,))
    assert groups.known("org_1", AGENT, clues, 0) is None
    opened = groups.find("org_1", AGENT, clues, 0)
    assert isinstance(opened, Open)
    groups.open("org_1", AGENT, clues, opened, invocation="inv_1", now_us=0)
    assert groups.known("org_1", AGENT, clues, 1) == Join("inv_1", Grouping.CONVERSATION)
    longer = Clues(credential="crd_1", messages=(USER, ANSWER, MORE))
    assert groups.known("org_1", AGENT, longer, 2) == Join("inv_1", Grouping.CONVERSATION)
    for stranger in (
        Clues(credential="crd_2", messages=(USER,)),
        Clues(credential="crd_1", messages=(MORE,)),
        Clues(credential="crd_1", header="run-1"),
        Clues(credential="crd_2", header="inv_1"),
    ):
        assert groups.known("org_1", AGENT, stranger, 3) is None
    assert groups.known("org_1", AGENT, Clues(credential="crd_1", header="inv_1"), 4) == Join(
        "inv_1", Grouping.HEADER
    )
    assert len(groups) == 1


def test_hashes_stand_for_a_conversation() -> None:
    here, there = Groups(), Groups()
    first = Clues(credential="crd_1", messages=(USER,))
    hashed = first.hashed()
    assert hashed.messages == ()
    assert first.hashed() == hashed.hashed()
    for groups, clues in ((here, first), (there, hashed)):
        opened = groups.find("org_1", AGENT, clues, 0)
        assert isinstance(opened, Open)
        groups.open("org_1", AGENT, clues, opened, invocation="inv_1", now_us=0)
    longer = Clues(credential="crd_1", messages=(USER, ANSWER, MORE))
    assert here.find("org_1", AGENT, longer, 1) == there.find("org_1", AGENT, longer.hashed(), 1)


def test_a_conversation_that_went_on_elsewhere_is_found_by_its_tip() -> None:
    groups, first = Groups(), Clues(credential="crd_1", messages=(USER,))
    groups.open("org_1", AGENT, first, Open(Grouping.CONVERSATION), invocation="inv_1", now_us=0)
    elsewhere = Clues(credential="crd_1", messages=(MORE, ANSWER)).hashed()
    assert groups.known("org_1", AGENT, elsewhere, 1) is None
    assert groups.advance("inv_1", elsewhere.chain[-1])
    assert not groups.advance("inv_1", elsewhere.chain[-1])
    assert not groups.advance("inv_gone", 5)
    assert groups.known("org_1", AGENT, elsewhere, 2) == Join("inv_1", Grouping.CONVERSATION)


def test_an_agent_may_have_a_shorter_idle_time_and_a_reload_may_change_it() -> None:
    script = Script()
    hasty = replace(AGENT, limits=Limits(idle_seconds=10))
    assert script.call(header("run-1"), hasty) == "inv_1 header opened"
    script.now = 10_000_000 - 1
    assert script.call(header("run-1"), hasty) == "inv_1 header"
    script.now += 10_000_000
    assert script.groups.expire(script.now) == ("inv_1",)
    assert script.call(header("run-2"), hasty) == "inv_2 header opened"
    assert script.call(header("run-2"), AGENT) == "inv_2 header"
    script.now += 10_000_000
    assert script.groups.expire(script.now) == ()


def named(run: str) -> Clues:
    return Clues(credential="crd_1", client=run)


TOOL = Clues(credential="crd_1", is_tool=True)


def test_a_tool_call_belongs_to_the_only_run_that_its_client_names_to_the_model() -> None:
    script = Script()
    assert script.call(named("session-1")) == "inv_1 client opened"
    assert script.call(TOOL) == "inv_1 time"
    assert script.call(BARE) == "inv_2 time opened"
    assert script.call(TOOL) == "inv_2 time"


def test_a_tool_call_is_given_to_neither_of_two_runs_that_their_clients_name() -> None:
    script = Script()
    script.call(named("session-1"))
    script.call(named("session-2"))
    assert script.call(TOOL) == "inv_3 time opened"


def test_a_tool_call_does_not_join_a_named_run_of_long_ago() -> None:
    script = Script()
    script.call(named("session-1"))
    script.now += WINDOW_US + 1
    assert script.call(TOOL) == "inv_2 time opened"
