from collections.abc import Sequence

from tests.events import heading

from ringfence.analysis.branch import Branch, walk
from ringfence.analysis.trace import build, leave_out_repeated
from ringfence.domain.event import (
    AccountLine,
    AnyEvent,
    Change,
    Decision,
    Intent,
    Observation,
    Outcome,
    Refusal,
    Status,
)
from ringfence.domain.exchange import Message, Part, Reading
from ringfence.domain.invocation import InvocationState
from ringfence.domain.usage import Usage


def account(left: int) -> AccountLine:
    return AccountLine("agent", "agt_1", "day", "0", "100", str(left))


def intent(
    action: str, invocation: str = "inv_root", *, parent: str | None = None, time: int = 1
) -> Intent:
    return Intent(
        **heading("org_1", time),
        action=action,
        action_kind="model.call",
        resource="small",
        operation="chat",
        invocation=invocation,
        root="inv_root",
        parent=parent,
        depth=0 if parent is None else 1,
        grouping="time",
        step=1,
        decision=Decision(verdict="allow"),
        reserved_nano="50",
        accounts=[account(50)],
        tools=["read_file"],
    )


def outcome(action: str, invocation: str = "inv_root", *, time: int = 2, cost: int = 30) -> Outcome:
    return Outcome(
        **heading("org_1", time),
        action=action,
        invocation=invocation,
        root="inv_root",
        status=Status.OK,
        http_status=200,
        cost_nano=str(cost),
        reserved_nano="50",
        usage=Usage(input_tokens=10, output_tokens=3),
        accounts=[account(70)],
        tool_calls=["read_file"],
        duration_us=900,
    )


def refusal(action: str, *, time: int = 3, repeats: int = 0, first: str = "") -> Refusal:
    return Refusal(
        **heading("org_1", time),
        action=action,
        action_kind="model.call",
        resource="large",
        invocation="inv_root",
        root="inv_root",
        decision=Decision(verdict="deny", code="out_of_scope", message="Not yours."),
        repeats=repeats,
        first_action=first,
    )


def observation(
    action: str, what: str = "dns.query", *, time: int = 2, repeats: int = 0, first: str = ""
) -> Observation:
    return Observation(
        **heading("org_1", time),
        action=action,
        what=what,
        sandbox="sbx_1",
        invocation="inv_root",
        root="inv_root",
        subject="api.example.com",
        repeats=repeats,
        first_action=first,
    )


def change(what: str, subject: str, *, time: int = 9, **detail: str) -> Change:
    return Change(
        format=1,
        organisation="org_1",
        time_us=str(time),
        epoch=1,
        configuration="sha256:1",
        actor="plane",
        what=what,
        subject=subject,
        detail=detail,
        invocation="inv_root",
        root="inv_root",
    )


def shape(branch: Branch) -> tuple[str, list[object]]:
    return branch.invocation, [shape(child) for child in branch.children]


def grown(*events: AnyEvent) -> Branch:
    return build("inv_root", events)


def test_a_step_joins_what_was_decided_with_what_came_of_it() -> None:
    (step,) = grown(intent("act_1"), outcome("act_1")).steps
    assert (step.number, step.decision.verdict, step.resource) == (1, "allow", "small")
    assert (step.status, step.http_status, step.duration_us) == ("ok", 200, 900)
    assert (step.cost_nano, step.reserved_nano) == ("30", "50")
    assert (step.tools, step.tool_calls) == (["read_file"], ["read_file"])
    assert step.usage == Usage(input_tokens=10, output_tokens=3)


def test_the_budget_shown_is_what_is_left_after_the_action() -> None:
    assert grown(intent("act_1")).steps[0].accounts == [account(50)]
    assert grown(intent("act_1"), outcome("act_1")).steps[0].accounts == [account(70)]


def test_an_action_that_has_not_ended_has_no_status() -> None:
    (step,) = grown(intent("act_1")).steps
    assert (step.status, step.cost_nano, step.is_refused) == ("", "0", False)


def test_steps_that_overlap_keep_their_own_outcomes() -> None:
    branch = grown(intent("a"), intent("b"), outcome("b", cost=2), outcome("a", cost=1))
    assert [(step.action, step.number, step.cost_nano) for step in branch.steps] == [
        ("a", 1, "1"),
        ("b", 2, "2"),
    ]


def test_a_refusal_is_a_step_and_its_repeats_are_counted_in_it() -> None:
    branch = grown(
        refusal("act_1"),
        refusal("act_2", repeats=4, first="act_1"),
        refusal("act_3", repeats=2, first="act_1"),
    )
    (step,) = branch.steps
    assert (step.is_refused, step.repeats, step.decision.code) == (True, 6, "out_of_scope")
    assert (branch.totals.refusals, branch.totals.steps) == (7, 0)


def test_repeats_whose_first_refusal_is_elsewhere_are_still_shown() -> None:
    (step,) = grown(refusal("act_2", repeats=4, first="act_1")).steps
    assert step.repeats == 4


def test_children_hang_from_their_parents() -> None:
    tree = grown(
        intent("1"),
        intent("2", "inv_a", parent="inv_root"),
        intent("3", "inv_b", parent="inv_a"),
        intent("4", "inv_c", parent="inv_root"),
    )
    assert shape(tree) == (
        "inv_root",
        [("inv_a", [("inv_b", [])]), ("inv_c", [])],
    )
    assert [branch.invocation for branch in walk(tree)] == ["inv_root", "inv_a", "inv_b", "inv_c"]


def test_what_has_lost_its_parent_hangs_from_the_root() -> None:
    tree = grown(intent("1"), intent("2", "inv_a", parent="inv_gone"))
    assert shape(tree) == ("inv_root", [("inv_a", [])])


def test_parents_that_form_a_ring_lose_nobody() -> None:
    ring: Sequence[AnyEvent] = [
        intent("1", "inv_a", parent="inv_b"),
        intent("2", "inv_b", parent="inv_a"),
        intent("3", "inv_c", parent="inv_c"),
    ]
    assert {branch.invocation for branch in walk(grown(*ring))} == {
        "inv_root",
        "inv_a",
        "inv_b",
        "inv_c",
    }


def test_totals_are_those_of_the_whole_tree() -> None:
    tree = grown(
        intent("1"),
        outcome("1", cost=2**60),
        intent("2", "inv_a", parent="inv_root"),
        outcome("2", "inv_a", cost=1),
        refusal("3"),
    )
    assert tree.totals.cost_nano == str(2**60 + 1)
    assert (tree.totals.invocations, tree.totals.steps, tree.totals.refusals) == (2, 2, 1)
    assert (tree.totals.input_tokens, tree.totals.output_tokens) == (20, 6)
    assert tree.children[0].totals.cost_nano == "1"


def test_an_estimate_is_marked_up_to_the_root() -> None:
    guessed = outcome("2", "inv_a")
    guessed.usage = Usage(input_tokens=1, output_tokens=1, estimated=True)
    tree = grown(intent("1"), outcome("1"), intent("2", "inv_a", parent="inv_root"), guessed)
    assert tree.totals.is_estimated
    assert not grown(intent("1"), outcome("1")).totals.is_estimated


def test_opening_and_ending_are_told_by_changes() -> None:
    tree = grown(
        change("invocation.opened", "inv_root", time=1, agent="agt_1", task="Sort", depth="0"),
        change("invocation.opened", "inv_a", time=2, agent="agt_2", parent="inv_root", depth="1"),
        change("invocation.stopped", "inv_a", time=5),
        change("invocation.finished", "inv_root", time=9),
    )
    assert (tree.task, tree.state, tree.opened_us, tree.last_us) == (
        "Sort",
        InvocationState.FINISHED,
        "1",
        "9",
    )
    (child,) = tree.children
    assert (child.agent, child.depth, child.state) == ("agt_2", 1, InvocationState.STOPPED)
    assert [note.what for note in tree.notes] == ["invocation.opened", "invocation.finished"]


def test_a_task_is_what_was_stored_of_it() -> None:
    opened = change("invocation.opened", "inv_root", agent="agt_1")
    assert build("inv_root", [opened], tasks={"inv_root": "Sort"}).task == "Sort"
    assert build("inv_root", [opened]).task == ""


def test_an_unknown_change_is_noted_and_harms_nothing() -> None:
    tree = grown(change("invocation.renamed", "inv_root"), change("approval.given", "apr_1"))
    assert tree.state is InvocationState.OPEN
    assert [note.subject for note in tree.notes] == ["inv_root", "apr_1"]


def test_an_outcome_without_its_intent_adds_no_step() -> None:
    assert grown(outcome("act_1")).steps == []


def said(*texts: str) -> Reading:
    return Reading(
        context=[Message(role="user", parts=[Part(kind="text", text=text)]) for text in texts]
    )


def test_readings_come_to_their_steps() -> None:
    readings = {"act_1": said("hello")}
    tree = build("inv_root", [intent("act_1"), intent("act_2")], readings)
    assert [step.reading for step in tree.steps] == [readings["act_1"], None]


def test_what_the_step_before_had_is_left_out() -> None:
    readings = {"1": said("a"), "3": said("a", "b", "c"), "4": said("x", "b")}
    tree = build("inv_root", [intent("1"), intent("2"), intent("3"), intent("4")], readings)
    leave_out_repeated(tree.steps)
    kept = [step.reading and [m.parts[0].text for m in step.reading.context] for step in tree.steps]
    assert kept == [["a"], None, ["b", "c"], ["x", "b"]]
    assert [step.earlier_messages for step in tree.steps] == [0, 0, 1, 0]


def test_what_was_seen_of_a_sandbox_keeps_its_place_between_the_steps() -> None:
    branch = grown(
        observation("s1", "sandbox.started"), intent("1"), observation("s2"), refusal("2")
    )
    assert [(sight.what, sight.after) for sight in branch.sights] == [
        ("sandbox.started", 0),
        ("dns.query", 1),
    ]
    assert [step.number for step in branch.steps] == [1, 2]


def test_what_was_seen_again_is_counted_where_it_was_first_seen() -> None:
    branch = grown(observation("s1"), intent("1"), observation("s2", repeats=4, first="s1"))
    (sight,) = branch.sights
    assert (sight.action, sight.repeats, sight.after) == ("s1", 4, 0)
