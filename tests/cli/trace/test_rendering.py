from tests.cli.trace.steps import AT_US, message, reading, step

from ringfence.analysis.branch import Branch, Note, Totals
from ringfence.cli.terminal.style import Style
from ringfence.cli.trace.rendering import render
from ringfence.domain.invocation import InvocationState

PLAIN = Style()


def branch(**more: object) -> Branch:
    made = Branch(
        invocation="inv_1",
        agent="agt_1",
        agent_name="triage",
        agent_version="2.1",
        grouping="conversation",
        opened_us=str(AT_US),
        last_us=str(AT_US + 1_500_000),
        steps=[step()],
        totals=Totals(invocations=1, steps=1, input_tokens=1200, output_tokens=34, cost_nano="7"),
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_the_heading_says_whose_run_it_was_and_what_it_cost() -> None:
    lines = render(branch(task="Sort mail."), PLAIN, 100, owner="ann@acme.example")
    assert lines[0] == "triage version 2.1  inv_1  open"
    text = "\n".join(lines)
    assert "owner      ann@acme.example" in text
    assert "task       Sort mail." in text
    assert "lasted 1.50 s" in text
    assert "grouped by conversation" in text
    assert "1 step · 1,200 tokens in, 34 out · $0.000000007" in text


def test_children_hang_below_their_parent() -> None:
    child = branch(invocation="inv_2", agent_name="helper", children=[branch(invocation="inv_3")])
    lines = render(branch(children=[child]), PLAIN, 100)
    assert "│ helper version 2.1  inv_2  open" in lines
    assert "│ │ triage version 2.1  inv_3  open" in lines


def test_what_people_did_to_it_is_told_at_its_end() -> None:
    notes = [
        Note(time_us="0", actor="agent:a", what="invocation.opened", subject="inv_1", detail={}),
        Note(
            time_us=str(AT_US),
            actor="cli:uid=0",
            what="invocation.stopped",
            subject="inv_1",
            detail={"cause": "budget"},
        ),
    ]
    lines = render(branch(notes=notes, state=InvocationState.STOPPED), PLAIN, 100)
    assert "invocation.stopped by cli:uid=0: cause budget" in lines[-1]
    assert "opened by" not in "\n".join(lines)
    assert lines[0].endswith("stopped")


def test_a_delegation_is_shown_as_a_chain() -> None:
    text = "\n".join(render(branch(chain=["user:ann", "agent:a", "agent:b"]), PLAIN, 100))
    assert "user:ann → agent:a → agent:b" in text


def test_no_line_is_wider_than_the_terminal() -> None:
    long = message("user", "word " * 200)
    lines = render(branch(steps=[step(reading=reading([long]))]), PLAIN, 60)
    assert max(map(len, lines[1:])) <= 61


def test_colours_come_only_from_us() -> None:
    hostile = branch(agent_name="\x1b[5mx", task="\x1b[2J")
    text = "\n".join(render(hostile, Style(is_coloured=True), 100))
    assert "\x1b[5m" not in text
    assert "\x1b[2J" not in text
    assert "\x1b[1m␛[5mx\x1b[0m" in text
