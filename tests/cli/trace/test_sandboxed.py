"""A trace shows commands, requests and what was seen of a sandbox, each on its own lines."""

from typing import Any

from tests.cli.trace.steps import AT_US, message, reading, step

from ringfence.analysis.branch import Branch, Sight, Step
from ringfence.cli.terminal.style import Style
from ringfence.cli.trace.rendering import render
from ringfence.cli.trace.sheet import Sheet
from ringfence.cli.trace.step import write_step
from ringfence.domain.event import Decision
from ringfence.domain.exchange import Part

LINE = Part(kind="command", text="git status", name="/usr/bin/git")
PLACE = Part(kind="directory", text="/project")


def command(**more: Any) -> Step:  # noqa: ANN401 (fields of it)
    fields: dict[str, Any] = {
        "kind": "shell.exec",
        "resource": "git",
        "operation": "exec",
        "provider": "",
        "usage": None,
        "finish": "",
        "cost_nano": "0",
        "exit_code": 0,
        "reading": reading((), message("command", LINE, PLACE)),
    }
    return step(**(fields | more))


def request(**more: Any) -> Step:  # noqa: ANN401 (fields of it)
    fields: dict[str, Any] = {
        "kind": "http.request",
        "resource": "api.example.com:443",
        "operation": "POST",
        "target": "https://api.example.com/v1/items?x=1",
        "provider": "",
        "usage": None,
        "finish": "",
        "cost_nano": "0",
        "http_status": 201,
        "address": "192.0.2.7",
        "sent_bytes": 12,
        "received_bytes": 2048,
        "secrets": ["CRM"],
    }
    return step(**(fields | more))


def sight(what: str, subject: str = "", /, **more: Any) -> Sight:  # noqa: ANN401 (fields of it)
    plain: dict[str, Any] = {
        "action": "act_9",
        "time_us": str(AT_US),
        "what": what,
        "sandbox": "sbx_1",
        "after": 0,
        "subject": subject,
    }
    return Sight(**(plain | more))


def written(now: Step) -> str:
    sheet = Sheet(Style(), 110, is_full=False)
    write_step(sheet, now, None)
    return "\n".join(sheet.lines)


def rendered(*sights: Sight, is_full: bool = False) -> str:
    branch = Branch(invocation="inv_1", steps=[command()], sights=list(sights))
    return "\n".join(render(branch, Style(), 110, is_full=is_full))


def test_a_command_shows_its_line_where_it_ran_and_how_it_ended() -> None:
    shown = written(command(asked_by="act_0"))
    assert "git  exit 0  250 ms" in shown
    assert "$          git status" in shown
    assert "in /project · asked for by act_0" in shown
    assert "exit 3" in written(command(exit_code=3))
    assert "SIGKILL" in written(command(exit_code=None, signal="SIGKILL"))
    assert "still running" in written(command(exit_code=None, status=""))
    assert "not messages" not in shown


def test_commands_are_told_of_by_the_steps_that_they_belong_to() -> None:
    there = Part(kind="directory", text="/project/web")
    steps = [
        command(number=1, action="act_1", kind="model.call", resource="sonnet"),
        command(number=2, action="act_2", resource="bash", asked_by="act_1"),
        command(number=3, action="act_3", asked_by="act_1", within="act_2", exit_code=None),
        command(
            number=4,
            action="act_4",
            asked_by="act_1",
            within="act_3",
            reading=reading((), message("command", LINE, there)),
        ),
    ]
    steps[2].error = "replaced"
    shown = "\n".join(render(Branch(invocation="inv_1", steps=steps), Style(), 110))
    assert "ran        in /project · /usr/bin/git · asked for by step 1" in shown
    assert "git  went on as step 4" in shown
    assert "ran        within step 2\n" in shown
    assert "ran        in /project/web · within step 3" in shown
    assert "act_" not in shown
    assert "replaced" not in shown


def test_of_a_long_path_the_end_stands_above_and_the_whole_below() -> None:
    path = "/src/shop/node_modules/@maker/agent-linux-x64/bin/agent"
    line = Part(kind="command", text="agent -p hi", name=path)
    policies = Decision(verdict="allow", facts={"policies": "scope:a:commands:*"})
    now = command(resource=path, decision=policies, reading=reading((), message("c", line)))
    shown = written(now)
    assert "  …/agent  exit 0" in shown
    assert f"ran        {path}\n" in shown + "\n"
    full = Sheet(Style(), 110, is_full=True)
    write_step(full, now, None)
    assert "scope:a:commands:*" in "\n".join(full.lines)


def test_whose_choice_and_whose_word_it_is_is_said() -> None:
    chosen = Decision(verdict="allow", facts={"chosen_by": "operator"})
    assert "chosen by the operator" in written(command(decision=chosen))
    told = written(command(enforced="by_caller", reported_by="agent"))
    assert "the agent had to obey by itself · its end is the agent's word" in told


def test_a_refused_command_says_why() -> None:
    no = Decision(verdict="deny", code="out_of_scope", message="Not yours.")
    shown = written(command(is_refused=True, decision=no, exit_code=None))
    assert "REFUSED out_of_scope" in shown
    assert "Not yours." in shown
    assert "git status" in shown


def test_a_request_shows_what_went_where_and_with_whose_credential() -> None:
    shown = written(request(redactions=2, uninspected=True))
    assert "api.example.com:443  201" in shown
    assert "POST https://api.example.com/v1/items?x=1" in shown
    assert "to 192.0.2.7 · 12 B up, 2.0 KiB down · with CRM · 2 redactions" in shown
    assert "UNINSPECTED" in shown


def test_what_was_seen_stands_between_the_steps() -> None:
    shown = rendered(
        sight("sandbox.started", "claude -p hello", detail={"tier": "strict", "plan": "ab"}),
        sight("dns.query", "evil.example", after=1, repeats=4, detail={"verdict": "deny"}),
    )
    started, ran, asked = (
        shown.index("claude -p hello"),
        shown.index("git status"),
        shown.index("evil.example"),
    )
    assert started < ran < asked
    assert "evil.example ×5" in shown
    assert "tier strict" in shown
    assert "plan ab" not in shown
    assert "plan ab" in rendered(sight("sandbox.started", detail={"plan": "ab"}), is_full=True)


def test_local_sockets_that_programs_try_in_passing_are_one_line() -> None:
    seen = [
        sight("call.refused", "socket", after=each, repeats=each, detail={"with": "unix stream 0"})
        for each in (0, 1)
    ]
    other = sight("call.refused", "socket", detail={"with": "alg seqpacket 0"})
    shown = rendered(*seen, other)
    assert "3 local sockets asked for, which a sandbox has not; --full shows each" in shown
    assert "unix stream" not in shown
    assert "with alg seqpacket 0" in shown
    assert "1 local socket asked for" in rendered(seen[0])
    assert "local socket" not in rendered(other)
    assert rendered(*seen, is_full=True).count("unix stream") == 2


def test_a_command_with_many_options_is_short_and_whole_with_full() -> None:
    line = Part(kind="command", text=" ".join(f"-c option.number={each}" for each in range(60)))
    long = command(reading=reading((), message("command", line, PLACE)))
    shown = written(long)
    assert "option.number=0" in shown
    assert "option.number=59" not in shown
    assert len(shown.splitlines()) == 7
    sheet = Sheet(Style(), 110, is_full=True)
    write_step(sheet, long, None)
    assert "option.number=59" in "\n".join(sheet.lines)


def test_evidence_is_marked_and_shown_as_text() -> None:
    kept = reading((), message("evidence", "cd /project"))
    shown = rendered(
        sight("evidence.builtins", "builtins", reported_by="agent", body_bytes=9, reading=kept)
    )
    assert "evidence.builtins builtins (the agent's own word)  9 B kept as act_9" in shown
    assert "kept       cd /project" in shown


def test_nothing_that_a_sandbox_says_moves_the_terminal() -> None:
    evil = "\x1b]0;x\x07\nrm"
    shown = written(command(reading=reading((), message("c", Part(kind="command", text=evil)))))
    assert "\x1b" not in shown + rendered(sight("dns.query", evil, detail={"answer": evil}))


def test_words_that_are_not_kept_are_told() -> None:
    told = Part(kind="cut", text="70000 bytes of words were read: SHA-256 ab12")
    text = written(command(reading=reading((), message("command", LINE, PLACE, told))))
    assert "cut" in text
    assert "70000 bytes of words were read: SHA-256 ab12" in text
