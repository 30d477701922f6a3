"""What a monitor asks is answered when it is on record, and what it tells is on record."""

import asyncio

import msgspec
from tests.approvals import desk
from tests.enforcement.cell import GIT, Cell, house
from tests.gateways.world import PROVIDER_KEY

from ringfence.domain.agent import Autonomy
from ringfence.domain.approval import Vote
from ringfence.domain.event import Hold, Status
from ringfence.domain.monitoring import (
    CallRefused,
    Changed,
    Evidence,
    ExecDiffers,
    ExecWaits,
    Exited,
    Kill,
    LateCodeFound,
)
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds


def test_an_exec_goes_on_when_its_intent_is_durable_and_not_before() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        cell.ledger.is_holding = True
        going = asyncio.ensure_future(cell.door.asked(box, cell.asked(GIT, "git", "status")))
        await asyncio.sleep(0)
        assert not going.done()
        cell.ledger.commit()
        answer = await going
        assert (answer.id, answer.is_allowed, answer.message) == (1, True, "")
        cell.door.exited(box, Exited(pid=100, time_us=0, exit_code=0))
        [outcome] = cell.ledger.outcomes
        assert outcome.exit_code == 0

    asyncio.run(story())


def test_execs_of_one_turn_are_all_recorded_by_one_commit() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        cell.ledger.is_holding = True
        going = [cell.door.asked(box, cell.asked(id=n, pid=n)) for n in range(1, 201)]
        cell.ledger.commit()
        answers = await asyncio.gather(*going)
        assert [each.id for each in answers] == list(range(1, 201))
        assert all(each.is_allowed for each in answers)
        assert len(cell.ledger.intents) == 200

    asyncio.run(story())


def test_what_is_refused_says_why_to_whoever_reads_the_terminal() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        answer = await cell.door.asked(box, cell.asked("/usr/bin/curl"))
        assert not answer.is_allowed
        assert "has no command `curl`" in answer.message

    asyncio.run(story())


def test_what_cannot_be_recorded_is_refused() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        cell.ledger.is_failing = True
        answer = await cell.door.asked(box, cell.asked())
        assert not answer.is_allowed
        assert "cannot write its record" in answer.message

    asyncio.run(story())


def test_nothing_runs_in_a_sandbox_that_is_over() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        cell.ledger.is_holding = True
        waiting = cell.door.asked(box, cell.asked())
        box.is_open = False
        cell.ledger.commit()
        assert not (await waiting).is_allowed
        assert not (await cell.door.asked(box, cell.asked())).is_allowed
        assert len(cell.ledger.intents) == len(cell.ledger.outcomes) == 1

    asyncio.run(story())


def test_without_authority_a_command_waits_and_is_then_refused_on_the_record() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        authority = cell.world.worker.authority
        until_us, authority.fresh_until_us = authority.fresh_until_us, 0
        going = asyncio.ensure_future(cell.door.asked(box, cell.asked(GIT, "git", "status")))
        await asyncio.sleep(0.05)
        assert not going.done()
        assert cell.ledger.intents == []
        authority.renew(until_us, authority.epoch)
        assert (await going).is_allowed
        authority.revoke()
        answer = await cell.door.asked(box, cell.asked(GIT, "git", "push", pid=101))
        assert not answer.is_allowed
        assert "lost touch" in answer.message
        assert [each.resource for each in cell.ledger.refusals] == ["git"]
        assert len(cell.ledger.intents) == 1

    asyncio.run(story())


def test_authority_that_ends_while_the_intent_is_written_begins_nothing() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        for is_renewed in (True, False):
            cell.ledger.is_holding = True
            asked = cell.asked(GIT, "git", "status", pid=100 + is_renewed)
            going = asyncio.ensure_future(cell.door.asked(box, asked))
            await asyncio.sleep(0)
            authority = cell.world.worker.authority
            until_us, authority.fresh_until_us = authority.fresh_until_us, 0
            cell.ledger.commit()
            cell.ledger.is_holding = False
            await asyncio.sleep(0.02)
            assert not going.done()
            if is_renewed:
                authority.renew(until_us, authority.epoch)
            else:
                authority.revoke()
            assert (await going).is_allowed is is_renewed
        [outcome] = cell.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "store_unavailable")

    asyncio.run(story())


def test_the_file_itself_decides_and_not_the_link_to_it() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        linked = cell.asked("/project/git", "git", program="/tmp/evil")  # noqa: S108 (made up)
        assert not (await cell.door.asked(box, linked)).is_allowed
        alternative = cell.asked("/etc/alternatives/git", "git", program="/usr/bin/git")
        assert (await cell.door.asked(box, alternative)).is_allowed

    asyncio.run(story())


def test_an_exec_waits_for_a_person_and_its_monitor_is_told() -> None:
    async def story() -> None:
        clock = ManualClock()
        people = desk(clock, SequentialIds())
        cell = Cell(house(autonomy=Autonomy.ASK_ALWAYS), approvals=people, clock=clock)
        box = await cell.open()
        going = asyncio.ensure_future(cell.door.asked(box, cell.asked(GIT, "git", "push")))
        await cell.monitor.heard.wait()
        [waits] = cell.monitor.told
        assert isinstance(waits, ExecWaits)
        assert "this agent asks before everything it does" in waits.message
        [hold] = [each for each in cell.ledger.events if isinstance(each, Hold)]
        assert hold.approval == waits.approval
        yes = Vote(user="user:ann", approves=True, at_us=clock.now_us())
        await people.decide("org_acme", waits.approval, yes)
        assert (await going).is_allowed
        assert cell.ledger.intents[-1].approval == waits.approval

    asyncio.run(story())


def test_a_denied_command_does_not_run() -> None:
    async def story() -> None:
        clock = ManualClock()
        people = desk(clock, SequentialIds())
        cell = Cell(house(autonomy=Autonomy.ASK_ALWAYS), approvals=people, clock=clock)
        box = await cell.open()
        going = asyncio.ensure_future(cell.door.asked(box, cell.asked()))
        await cell.monitor.heard.wait()
        [waits] = cell.monitor.told
        assert isinstance(waits, ExecWaits)
        no = Vote(user="user:ann", approves=False, at_us=clock.now_us(), comment="not today")
        await people.decide("org_acme", waits.approval, no)
        answer = await going
        assert not answer.is_allowed
        assert "not today" in answer.message
        assert not cell.ledger.intents

    asyncio.run(story())


def test_a_person_who_has_denied_is_not_asked_again_by_the_same_process() -> None:
    async def story() -> None:
        clock = ManualClock()
        people = desk(clock, SequentialIds())
        cell = Cell(house(autonomy=Autonomy.ASK_ALWAYS), approvals=people, clock=clock)
        box = await cell.open()
        going = asyncio.ensure_future(cell.door.asked(box, cell.asked(GIT, "git", "push")))
        await cell.monitor.heard.wait()
        [waits] = cell.monitor.told
        assert isinstance(waits, ExecWaits)
        no = Vote(user="user:ann", approves=False, at_us=clock.now_us(), comment="not today")
        await people.decide("org_acme", waits.approval, no)
        first = await going
        elsewhere = cell.asked("/bin/git", "git", "push", program=GIT)
        second = await cell.door.asked(box, elsewhere)
        assert (first.message, first.is_allowed) == (second.message, second.is_allowed)
        assert {each.decision.code for each in cell.ledger.refusals} == {"approval_denied"}
        assert len(cell.monitor.told) == 1
        for other in (cell.asked(GIT, "git", "pull"), cell.asked(GIT, "git", "push", pid=101)):
            cell.monitor.heard.clear()
            waiting = asyncio.ensure_future(cell.door.asked(box, other))
            await cell.monitor.heard.wait()
            waiting.cancel()
        assert len(cell.monitor.told) == 3

    asyncio.run(story())


def test_whoever_waits_for_a_person_is_let_go_with_its_sandbox() -> None:
    async def story() -> None:
        clock = ManualClock()
        people = desk(clock, SequentialIds())
        cell = Cell(house(autonomy=Autonomy.ASK_ALWAYS), approvals=people, clock=clock)
        box = await cell.open()
        going = asyncio.ensure_future(cell.door.asked(box, cell.asked()))
        await cell.monitor.heard.wait()
        await cell.close()
        assert not (await going).is_allowed

    asyncio.run(story())


def test_exchanged_arguments_are_a_finding_and_a_program_out_of_scope_ends() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        for pid, exe in ((100, "/usr/bin/bash"), (101, "/usr/bin/curl"), (102, "/usr/bin/curl")):
            if pid != 102:
                await cell.door.asked(box, cell.asked(pid=pid))
            cell.door.differs(box, ExecDiffers(pid=pid, exe=exe, argv=("x", "y z"), time_us=0))
        same, other = cell.findings("command_exchanged")
        assert (same["runs"], same["line"], same["ended"]) == ("/usr/bin/bash", "x 'y z'", "false")
        assert (other["runs"], other["command"], other["ended"]) == ("/usr/bin/curl", "git", "true")
        assert cell.monitor.told == [Kill(pid=101)]

    asyncio.run(story())


def test_what_was_tried_is_told_with_the_command_that_tried_it() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        await cell.door.asked(box, cell.asked(pid=100))
        tried = (
            CallRefused(pid=100, call="ptrace", to="0x10", error="EPERM"),
            CallRefused(pid=555, call="io_uring_setup", error="EPERM"),
            CallRefused(pid=100, call="tcp", to="192.0.2.7:25"),
            CallRefused(pid=100, call="tcp", to="127.0.0.1:22", error="EACCES"),
        )
        for each in tried:
            cell.door.call_refused(box, each)
        [intent] = cell.ledger.intents
        by = {"command": "git", "action": intent.action}
        none_there = "nothing of Ringfence is at that port"
        assert [(each.what, each.subject, each.detail) for each in cell.seen[1:]] == [
            ("call.refused", "ptrace", {"with": "0x10", "error": "EPERM"} | by),
            ("call.refused", "io_uring_setup", {"error": "EPERM"}),
            (
                "connection",
                "192.0.2.7:25",
                {"how": "tcp", "verdict": "deny", "why": none_there} | by,
            ),
            ("connection", "127.0.0.1:22", {"how": "tcp", "verdict": "deny", "why": "EACCES"} | by),
        ]

    asyncio.run(story())


def test_evidence_is_kept_and_what_shells_say_is_marked_as_their_word() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        cell.door.evidence(box, Evidence(kind="transcript", body=b"$ make", time_us=5))
        cell.door.evidence(box, Evidence(kind="builtins", body=b"cd /", time_us=6))
        cell.door.evidence(box, Evidence(kind="made-up", body=b"x", time_us=7))
        cell.door.evidence(box, Evidence(kind="builtins", body=b"", time_us=8))
        seen = [(each.what, each.reported_by, each.detail["from_us"]) for each in cell.seen[1:]]
        assert seen == [("evidence.transcript", "", "5"), ("evidence.builtins", "agent", "6")]

    asyncio.run(story())


def test_no_secret_of_the_plane_is_kept_with_a_transcript() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        printed = b"$ env\r\nKEY=" + PROVIDER_KEY.encode() + b"\r\n"
        cell.door.evidence(box, Evidence(kind="transcript", body=printed, time_us=5))
        event = cell.seen[-1]
        assert event.detail["redacted.KEY"] == "1"
        kept = cell.ledger.bodies[f"Observation {event.action}"]
        assert PROVIDER_KEY.encode() not in kept
        assert kept.startswith(b"$ env\r\nKEY=***")

    asyncio.run(story())


def test_what_would_run_later_on_the_host_is_a_finding() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        told = LateCodeFound(path=".envrc", why="direnv", moved_to=".envrc.q", is_restored=False)
        cell.door.late_code(box, told)
        [found] = cell.findings("late_code")
        assert (found["path"], found["moved_to"]) == (".envrc", ".envrc.q")
        assert (found["why"], found["is_restored"]) == ("direnv", "false")

    asyncio.run(story())


def test_changes_of_the_workspace_are_counted_and_kept() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        counts = {"added": 1, "changed": 0, "removed": 2}
        summary = {"counts": counts, "added": [{"path": "a"}], "removed": ["b", "c"]}
        cell.door.changed(box, Changed(summary=msgspec.json.encode(summary)))
        cell.door.changed(box, Changed(summary=b"\xff"))
        first, second = cell.seen[1:]
        assert (first.what, first.subject) == ("workspace", "/project")
        assert first.detail == {"added": "1", "changed": "0", "removed": "2"}
        assert second.detail == {"unreadable": "true"}

    asyncio.run(story())
