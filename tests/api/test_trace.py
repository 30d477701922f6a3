from dataclasses import replace

import msgspec
import pytest
from tests.api.event import change, command, intent, observation, outcome, refusal
from tests.api.plane import OWNER, Plane

from ringfence.api.application import create_app
from ringfence.protocols.chat.reading import ChatReader


@pytest.fixture
def told(plane: Plane) -> Plane:
    """A run of two calls with a sub-invocation and a refusal, all in the ledger."""
    first = intent(plane, "act_1")
    below = intent(plane, "act_2", invocation="inv_2", parent="inv_1")
    second = intent(plane, "act_3")
    plane.write(
        (first, b"hello"),
        (outcome(plane, first), b"hi"),
        below,
        outcome(plane, below, cost=5),
        (refusal(plane, "act_4"), b"give me more"),
        (second, b"hello|again"),
        (outcome(plane, second), b"hi again"),
    )
    return plane


def test_a_trace_is_a_tree_of_steps_with_what_was_read_and_answered(told: Plane) -> None:
    trace = told.ask("GET", "traces/inv_1").json()
    assert [step["action"] for step in trace["steps"]] == ["act_1", "act_4", "act_3"]
    assert [child["invocation"] for child in trace["children"]] == ["inv_2"]
    assert trace["totals"] == {
        "invocations": 2,
        "steps": 3,
        "refusals": 1,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_nano": "65",
        "is_estimated": False,
    }
    first, refused, second = trace["steps"]
    assert first["status"] == "ok"
    assert first["reading"]["answer"]["parts"][0]["text"] == "hi (streamed)"
    assert refused["is_refused"]
    assert refused["reading"]["context"][0]["parts"][0]["text"] == "give me more"
    assert [each["parts"][0]["text"] for each in second["reading"]["context"]] == ["hello", "again"]


def test_only_what_is_new_can_be_asked_for(plane: Plane) -> None:
    for number, said in enumerate([b"a", b"a|b", b"a|b|c|d"]):
        plane.write((intent(plane, f"act_{number}"), said))
    steps = plane.ask("GET", "traces/inv_1?content=new").json()["steps"]
    kept = [[each["parts"][0]["text"] for each in step["reading"]["context"]] for step in steps]
    assert kept == [["a"], ["b"], ["c", "d"]]
    assert [step["earlier_messages"] for step in steps] == [0, 1, 2]
    bare = plane.ask("GET", "traces/inv_1?content=none").json()["steps"]
    assert [step["reading"] for step in bare] == [None, None, None]


def test_a_body_that_cannot_be_read_hides_nothing_else(plane: Plane) -> None:
    plane.write((intent(plane, "act_1"), b"\xff"), (intent(plane, "act_2"), b"fine"))
    first, second = plane.ask("GET", "traces/inv_1").json()["steps"]
    assert first["reading"] is None
    assert second["reading"]["context"][0]["parts"][0]["text"] == "fine"


def test_a_stored_chat_exchange_is_shown_as_the_model_had_it(plane: Plane) -> None:
    request = {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Sort."},
            {"role": "user", "content": "Ticket 7"},
        ],
        "tools": [{"type": "function", "function": {"name": "close", "parameters": {}}}],
    }
    call = {"id": "c1", "type": "function", "function": {"name": "close", "arguments": "{}"}}
    answer = {"role": "assistant", "content": None, "tool_calls": [call]}
    response = {"choices": [{"index": 0, "message": answer, "finish_reason": "tool_calls"}]}
    before = intent(plane, "act_1")
    before.stream = False
    plane.write(
        (before, msgspec.json.encode(request)),
        (outcome(plane, before), msgspec.json.encode(response)),
    )
    plane.app = create_app(replace(plane.context, readers={"chat": ChatReader()}))
    reading = plane.ask("GET", "traces/inv_1").json()["steps"][0]["reading"]
    assert reading["context"][-1]["parts"][0]["text"] == "Ticket 7"
    assert reading["tools"] == ["close"]
    (asked,) = reading["answer"]["parts"]
    assert (asked["kind"], asked["name"]) == ("tool_call", "close")


def opened_with_task(plane: Plane) -> None:
    """As this release writes it (inv_new) and as earlier ones did (inv_old)."""
    new, old = change(plane, "inv_new"), change(plane, "inv_old")
    old.detail["task"] = "sort the mail"
    plane.write((new, b"call Jane"), old)


def test_the_task_of_a_run_is_shown_until_it_is_erased(plane: Plane) -> None:
    opened_with_task(plane)

    def tasks() -> tuple[dict[str, str], list[str]]:
        listed = {each["id"]: each["task"] for each in plane.ask("GET", "traces").json()["items"]}
        return listed, [plane.ask("GET", f"traces/{each}").json()["task"] for each in listed]

    assert tasks()[0] == {"inv_new": "call Jane", "inv_old": "sort the mail"}
    assert sorted(tasks()[1]) == ["call Jane", "sort the mail"]
    order = {"invocation": "inv_new", "reason": "asked for"}
    erased = plane.ask("POST", "audit/erase", body=order).json()
    assert erased == {"actions": 1, "bodies": 1, "held_calls": 0}
    assert tasks()[0] == {"inv_new": "", "inv_old": "sort the mail"}
    assert sorted(tasks()[1]) == ["", "sort the mail"]
    kept = b"".join(path.read_bytes() for path in plane.folder.rglob("*") if path.is_file())
    assert b"call Jane" not in kept


def test_a_task_is_erased_with_all_that_was_done_for_a_user(plane: Plane) -> None:
    opened = change(plane, "inv_new")
    opened.detail["user"] = plane.acme.users[OWNER].id
    plane.write((opened, b"call Jane"))
    order = {"user": OWNER, "reason": "asked for"}
    assert plane.ask("POST", "audit/erase", body=order).json()["bodies"] == 1
    assert plane.ask("GET", "traces/inv_new").json()["task"] == ""


@pytest.mark.parametrize("subject", ["agent:triage", "invocation:inv_new", "organisation"])
def test_a_task_on_legal_hold_is_not_erased(plane: Plane, subject: str) -> None:
    opened_with_task(plane)
    body = {"subject": subject, "reason": "case 7"}
    assert plane.ask("POST", "audit/holds", body=body).status == 204
    order = {"invocation": "inv_new", "reason": "asked for"}
    assert plane.ask("POST", "audit/erase", body=order).code == "legal_hold"
    assert plane.ask("GET", "traces/inv_new").json()["task"] == "call Jane"


def test_a_run_is_found_by_the_words_of_its_task(plane: Plane) -> None:
    opened_with_task(plane)
    (found,) = plane.ask("GET", "audit/events?text=jane").json()["items"]
    assert (found["what"], found["subject"]) == ("invocation.opened", "inv_new")


@pytest.mark.parametrize("identifier", ["inv_2", "act_1", "act_2", "act_4"])
def test_any_id_within_it_leads_to_the_whole_trace(told: Plane, identifier: str) -> None:
    trace = told.ask("GET", f"traces/{identifier}").json()
    assert trace["invocation"] == "inv_1"
    assert trace["totals"]["invocations"] == 2


def test_an_unknown_trace_is_not_found(told: Plane) -> None:
    answer = told.ask("GET", "traces/inv_9")
    assert (answer.status, answer.code) == (404, "trace_unknown")


def test_a_trace_of_another_organisation_is_not_found(plane: Plane) -> None:
    foreign = intent(plane, "act_1")
    foreign.organisation = "org_foreign"
    plane.write((foreign, b"secret of theirs"))
    for identifier in ("inv_1", "act_1"):
        assert plane.ask("GET", f"traces/{identifier}").code == "trace_unknown"
    assert plane.ask("GET", "traces").json()["items"] == []


def test_traces_are_listed_with_the_sums_of_their_trees(told: Plane) -> None:
    (line,) = told.ask("GET", "traces").json()["items"]
    assert (line["id"], line["agent_name"], line["state"]) == ("inv_1", "triage", "open")
    assert (line["invocations"], line["steps"], line["refusals"]) == (2, 3, 1)
    assert line["cost_nano"] == "65"
    assert int(line["opened_us"]) < int(line["last_us"])


def test_a_listing_says_which_runs_had_a_sandbox_and_of_which_tier(plane: Plane) -> None:
    plain = intent(plane, "act_1", invocation="inv_0")
    within, failed = intent(plane, "act_2"), intent(plane, "act_4", invocation="inv_2")
    within.credential, failed.credential = "sbx_1", "sbx_2"
    started = observation(plane, "act_3", "sandbox.started", "bash")
    started.detail = {"tier": "reduced"}
    other = observation(plane, "act_5", "sandbox.ended", "bash")
    other.detail = {"tier": "strict"}
    plane.write(plain, within, other, started, failed)
    lines = plane.ask("GET", "traces").json()["items"]
    assert [(each["sandbox"], each["sandbox_tier"]) for each in lines] == [
        ("sbx_2", ""),
        ("sbx_1", "reduced"),
        ("", ""),
    ]


@pytest.mark.parametrize(
    ("query", "count"),
    [("agent=triage", 1), ("agent=nobody", 0), ("state=open", 1), ("state=finished", 0)],
)
def test_traces_are_found_by_agent_and_state(told: Plane, query: str, count: int) -> None:
    assert len(told.ask("GET", f"traces?{query}").json()["items"]) == count


def test_traces_are_listed_by_pages_newest_first(plane: Plane) -> None:
    names = [f"inv_{number}" for number in range(5)]
    plane.write(*(intent(plane, f"act_{name}", invocation=name) for name in names))
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = plane.ask("GET", f"traces?limit=2&after={after}").json()
        seen += [line["id"] for line in page["items"]]
        after = page["next"]
    assert seen == names[::-1]


def test_commands_and_what_was_seen_stand_in_the_same_trace(plane: Plane) -> None:
    ran = command(plane, "act_2")
    ended = outcome(plane, ran, cost=0)
    ended.exit_code = 3
    body = b'{"path":"/usr/bin/git","line":"git log","argv":["git","log"],"directory":"/project"}'
    plane.write(
        (intent(plane, "act_1"), b"hello"),
        observation(plane, "act_0", "sandbox.started", "bash"),
        (ran, body),
        ended,
        (observation(plane, "act_3", "evidence.transcript"), b"$ git log\r\n"),
    )
    trace = plane.ask("GET", "traces/inv_1").json()
    first, second = trace["steps"]
    assert (first["kind"], second["kind"]) == ("model.call", "shell.exec")
    assert (second["exit_code"], second["sandbox"]) == (3, "sbx_1")
    assert second["reading"]["answer"]["parts"][0]["text"] == "git log"
    started, transcript = trace["sights"]
    assert (started["what"], started["after"]) == ("sandbox.started", 1)
    assert (transcript["after"], transcript["body_bytes"]) == (2, 11)
    assert transcript["reading"]["answer"]["parts"][0]["text"] == "$ git log\n"
